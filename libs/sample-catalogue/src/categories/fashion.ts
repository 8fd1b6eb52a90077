import type { Category } from '../category.ts';

export const fashion: readonly Category[] = [
  {
    name: 'Footwear', usd: [15, 170], hasColour: true,
    items: [
      { en: 'running shoes', vi: 'giày chạy bộ' },
      { en: 'leather sandals', vi: 'dép da' },
      { en: 'hiking boots', vi: 'giày leo núi' },
      { en: 'canvas sneakers', vi: 'giày vải' },
      { en: 'loafers', vi: 'giày lười' },
      { en: 'rain boots', vi: 'ủng đi mưa' },
    ],
    traits: [
      { en: 'breathable', vi: 'thoáng khí' },
      { en: 'waterproof', vi: 'chống thấm nước', key: 'waterproof', value: true },
      { en: 'wide-fit', vi: 'form rộng', key: 'fit', value: 'wide' },
      { en: 'cushioned', vi: 'đế êm' },
      { en: 'non-slip', vi: 'chống trượt', key: 'non_slip', value: true },
    ],
    facts: [
      { en: 'One shoe weighs {n} grams.', vi: 'Mỗi chiếc nặng {n} gam.', key: 'weight_grams', from: 160, to: 620 },
      { en: 'The heel is {n} mm high.', vi: 'Gót cao {n} mm.', key: 'heel_mm', from: 12, to: 45 },
    ],
    notes: [
      { en: 'The insole comes out and can be washed.', vi: 'Lót giày tháo ra giặt được.' },
      { en: 'Runs true to size.', vi: 'Đúng cỡ, chọn như bình thường.' },
    ],
  },
  {
    name: 'Clothing', usd: [8, 120], hasColour: true,
    items: [
      { en: 'T-shirt', vi: 'áo thun' },
      { en: 'linen shirt', vi: 'áo sơ mi vải lanh' },
      { en: 'rain jacket', vi: 'áo khoác chống mưa' },
      { en: 'chino trousers', vi: 'quần kaki' },
      { en: 'summer dress', vi: 'đầm mùa hè' },
      { en: 'silk scarf', vi: 'khăn lụa' },
    ],
    traits: [
      { en: 'cotton', vi: 'cotton', key: 'material', value: 'cotton' },
      { en: 'slim-fit', vi: 'dáng ôm', key: 'fit', value: 'slim' },
      { en: 'loose-fit', vi: 'dáng rộng', key: 'fit', value: 'loose' },
      { en: 'quick-dry', vi: 'nhanh khô', key: 'quick_dry', value: true },
      { en: 'hand-embroidered', vi: 'thêu tay' },
    ],
    facts: [
      { en: 'The cloth weighs {n} g/m² and keeps its shape.', vi: 'Vải {n} g/m², giữ dáng tốt.', key: 'gsm', from: 90, to: 320 },
      { en: 'Washes at {n} °C.', vi: 'Giặt ở {n} °C.', key: 'wash_celsius', from: 30, to: 60 },
    ],
    notes: [
      { en: 'Cut for warm and humid days.', vi: 'May cho những ngày nóng ẩm.' },
      { en: 'The seams are sewn twice.', vi: 'Đường may đôi chắc chắn.' },
      { en: 'Sewn in a small workshop that we visit.', vi: 'May tại xưởng nhỏ mà chúng tôi ghé thăm.' },
    ],
  },
  {
    name: 'Bags', usd: [12, 210], hasColour: true,
    items: [
      { en: 'backpack', vi: 'ba lô' },
      { en: 'tote bag', vi: 'túi tote' },
      { en: 'cabin suitcase', vi: 'vali xách tay' },
      { en: 'crossbody bag', vi: 'túi đeo chéo' },
      { en: 'laptop sleeve', vi: 'túi chống sốc laptop' },
      { en: 'gym bag', vi: 'túi tập gym' },
    ],
    traits: [
      { en: 'water-repellent', vi: 'chống thấm', key: 'water_repellent', value: true },
      { en: 'leather', vi: 'da thật', key: 'material', value: 'leather' },
      { en: 'recycled', vi: 'vải tái chế', key: 'recycled', value: true },
      { en: 'anti-theft', vi: 'chống trộm', key: 'anti_theft', value: true },
      { en: 'expandable', vi: 'mở rộng được' },
    ],
    facts: [
      { en: 'Holds {n} litres.', vi: 'Dung tích {n} lít.', key: 'litres', from: 6, to: 45 },
      { en: 'Has {n} pockets, one of them hidden.', vi: 'Có {n} ngăn, một ngăn kín.', key: 'pockets', from: 2, to: 12 },
    ],
    notes: [
      { en: 'Zips run smoothly and can be replaced.', vi: 'Khóa kéo trơn, thay được.' },
      { en: 'Fits under the seat of most planes.', vi: 'Vừa gầm ghế hầu hết máy bay.' },
    ],
  },
  {
    name: 'Watches', usd: [18, 340], hasColour: true,
    items: [
      { en: 'automatic watch', vi: 'đồng hồ tự động' },
      { en: 'quartz watch', vi: 'đồng hồ quartz' },
      { en: 'smart watch', vi: 'đồng hồ thông minh' },
      { en: 'diving watch', vi: 'đồng hồ lặn' },
      { en: "children's watch", vi: 'đồng hồ trẻ em' },
    ],
    traits: [
      { en: 'sapphire-glass', vi: 'kính sapphire', key: 'glass', value: 'sapphire' },
      { en: 'slim', vi: 'siêu mỏng' },
      { en: 'titanium', vi: 'titan', key: 'material', value: 'titanium' },
      { en: 'luminous', vi: 'dạ quang', key: 'luminous', value: true },
      { en: 'leather-strap', vi: 'dây da', key: 'strap', value: 'leather' },
    ],
    facts: [
      { en: 'The case measures {n} mm.', vi: 'Đường kính mặt {n} mm.', key: 'case_mm', from: 28, to: 46 },
      { en: 'Watertight to {n} metres.', vi: 'Chống nước tới {n} mét.', key: 'water_metres', from: 30, to: 300 },
    ],
    notes: [
      { en: 'The strap changes without a tool.', vi: 'Thay dây không cần dụng cụ.' },
      { en: 'A dial that can be read at a glance.', vi: 'Mặt số dễ đọc trong nháy mắt.' },
    ],
  },
  {
    name: 'Skin care', usd: [4, 70], hasColour: false, sizes: ['30 ml', '50 ml', '100 ml', '150 ml', '200 ml'],
    items: [
      { en: 'sunscreen', vi: 'kem chống nắng' },
      { en: 'face serum', vi: 'tinh chất dưỡng da' },
      { en: 'cleansing gel', vi: 'gel rửa mặt' },
      { en: 'moisturising cream', vi: 'kem dưỡng ẩm' },
      { en: 'coconut body oil', vi: 'dầu dừa dưỡng thể' },
      { en: 'lip balm', vi: 'son dưỡng môi' },
    ],
    traits: [
      { en: 'fragrance-free', vi: 'không mùi', key: 'fragrance_free', value: true },
      { en: 'gentle', vi: 'dịu nhẹ' },
      { en: 'vegan', vi: 'thuần chay', key: 'vegan', value: true },
      { en: 'oil-free', vi: 'không dầu', key: 'oil_free', value: true },
      { en: 'rice-bran', vi: 'cám gạo', key: 'active', value: 'rice bran' },
    ],
    facts: [
      { en: 'Tested by {n} people with sensitive skin.', vi: 'Đã thử với {n} người da nhạy cảm.', key: 'tested_by', from: 20, to: 300 },
      { en: 'One pack lasts about {n} weeks.', vi: 'Một chai dùng khoảng {n} tuần.', key: 'weeks', from: 4, to: 16 },
    ],
    notes: [
      { en: 'Sinks in quickly and leaves no white film.', vi: 'Thấm nhanh, không để lại vệt trắng.' },
      { en: 'Suits dry and mixed skin.', vi: 'Hợp da khô và da hỗn hợp.' },
    ],
  },
];
