import type { Category } from '../category.ts';

export const home: readonly Category[] = [
  {
    name: 'Furniture', usd: [35, 620], hasColour: true,
    items: [
      { en: 'office chair', vi: 'ghế văn phòng' },
      { en: 'writing desk', vi: 'bàn làm việc' },
      { en: 'bookcase', vi: 'kệ sách' },
      { en: 'coffee table', vi: 'bàn trà' },
      { en: 'bedside table', vi: 'tủ đầu giường' },
      { en: 'shoe cabinet', vi: 'tủ giày' },
    ],
    traits: [
      { en: 'oak', vi: 'gỗ sồi', key: 'material', value: 'oak' },
      { en: 'rattan', vi: 'mây', key: 'material', value: 'rattan' },
      { en: 'folding', vi: 'gấp gọn', key: 'folding', value: true },
      { en: 'height-adjustable', vi: 'chỉnh độ cao', key: 'height_adjustable', value: true },
      { en: 'space-saving', vi: 'tiết kiệm diện tích' },
    ],
    facts: [
      { en: 'Carries up to {n} kg.', vi: 'Chịu tải tới {n} kg.', key: 'load_kg', from: 30, to: 180 },
      { en: 'It is {n} cm wide.', vi: 'Rộng {n} cm.', key: 'width_cm', from: 40, to: 180 },
    ],
    notes: [
      { en: 'Put together in twenty minutes with the key in the box.', vi: 'Lắp trong hai mươi phút, có sẵn dụng cụ.' },
      { en: 'Rounded edges are kind to children and knees.', vi: 'Cạnh bo tròn an toàn cho trẻ nhỏ.' },
    ],
  },
  {
    name: 'Bedding', usd: [12, 240], hasColour: true,
    items: [
      { en: 'duvet cover', vi: 'vỏ chăn' },
      { en: 'fitted sheet', vi: 'ga bọc đệm' },
      { en: 'latex pillow', vi: 'gối cao su' },
      { en: 'summer quilt', vi: 'chăn hè' },
      { en: 'mattress topper', vi: 'tấm lót đệm' },
    ],
    traits: [
      { en: 'cotton', vi: 'cotton', key: 'material', value: 'cotton' },
      { en: 'bamboo-fibre', vi: 'sợi tre', key: 'material', value: 'bamboo fibre' },
      { en: 'cooling', vi: 'mát lạnh' },
      { en: 'anti-allergy', vi: 'chống dị ứng', key: 'anti_allergy', value: true },
      { en: 'silk', vi: 'lụa tơ tằm', key: 'material', value: 'silk' },
    ],
    facts: [
      { en: 'Woven with {n} threads an inch.', vi: 'Mật độ {n} sợi.', key: 'thread_count', from: 180, to: 800 },
      { en: 'Stays soft after {n} washes.', vi: 'Vẫn mềm sau {n} lần giặt.', key: 'washes', from: 50, to: 300 },
    ],
    notes: [
      { en: 'For nights when the air does not move.', vi: 'Cho những đêm không gió.' },
      { en: 'The zip is hidden and does not scratch.', vi: 'Khóa kéo giấu kín, không cọ da.' },
    ],
  },
  {
    name: 'Garden', usd: [5, 140], hasColour: false,
    items: [
      { en: 'watering can', vi: 'bình tưới cây' },
      { en: 'planter pot', vi: 'chậu trồng cây' },
      { en: 'pruning shears', vi: 'kéo cắt cành' },
      { en: 'garden hose', vi: 'ống tưới vườn' },
      { en: 'herb seed kit', vi: 'bộ hạt giống rau thơm' },
      { en: 'hammock', vi: 'võng' },
    ],
    traits: [
      { en: 'terracotta', vi: 'đất nung', key: 'material', value: 'terracotta' },
      { en: 'rust-proof', vi: 'không gỉ', key: 'rust_proof', value: true },
      { en: 'self-watering', vi: 'tự tưới', key: 'self_watering', value: true },
      { en: 'balcony', vi: 'ban công' },
      { en: 'heavy-duty', vi: 'chịu lực' },
    ],
    facts: [
      { en: 'Made to last {n} rainy seasons.', vi: 'Bền qua {n} mùa mưa.', key: 'seasons', from: 3, to: 12 },
      { en: 'Weighs {n} grams empty.', vi: 'Nặng {n} gam khi rỗng.', key: 'weight_grams', from: 150, to: 4000 },
    ],
    notes: [
      { en: 'For a balcony as much as for a field.', vi: 'Hợp ban công lẫn vườn rộng.' },
      { en: 'A short guide explains when to sow.', vi: 'Kèm hướng dẫn thời vụ gieo trồng.' },
    ],
  },
  {
    name: 'Pet supplies', usd: [4, 110], hasColour: true,
    items: [
      { en: 'cat scratching post', vi: 'trụ cào móng cho mèo' },
      { en: 'dog harness', vi: 'đai yếm cho chó' },
      { en: 'pet bed', vi: 'đệm nằm thú cưng' },
      { en: 'water fountain for pets', vi: 'máy uống nước thú cưng' },
      { en: 'travel carrier', vi: 'túi vận chuyển thú cưng' },
    ],
    traits: [
      { en: 'washable', vi: 'giặt được', key: 'washable', value: true },
      { en: 'chew-proof', vi: 'chống cắn' },
      { en: 'reflective', vi: 'phản quang', key: 'reflective', value: true },
      { en: 'soft', vi: 'mềm mại' },
      { en: 'quiet', vi: 'không ồn' },
    ],
    facts: [
      { en: 'For animals of up to {n} kg.', vi: 'Cho thú cưng tới {n} kg.', key: 'pet_kg', from: 4, to: 40 },
      { en: 'Cleaned in {n} minutes.', vi: 'Vệ sinh trong {n} phút.', key: 'clean_minutes', from: 2, to: 10 },
    ],
    notes: [
      { en: 'Our office cat approves.', vi: 'Mèo văn phòng của chúng tôi rất thích.' },
      { en: 'No small parts that could be swallowed.', vi: 'Không có chi tiết nhỏ dễ nuốt.' },
    ],
  },
];
