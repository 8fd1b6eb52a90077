import type { Category } from '../category.ts';

export const leisure: readonly Category[] = [
  {
    name: 'Toys', usd: [5, 90], hasColour: true,
    items: [
      { en: 'building blocks', vi: 'bộ xếp hình' },
      { en: 'plush animal', vi: 'thú nhồi bông' },
      { en: 'jigsaw puzzle', vi: 'tranh ghép hình' },
      { en: 'toy train', vi: 'tàu hỏa đồ chơi' },
      { en: 'kite', vi: 'diều' },
      { en: 'board game', vi: 'trò chơi cờ bàn' },
    ],
    traits: [
      { en: 'wooden', vi: 'gỗ', key: 'material', value: 'wood' },
      { en: 'educational', vi: 'giáo dục' },
      { en: 'hand-sewn', vi: 'may tay' },
      { en: 'magnetic', vi: 'nam châm', key: 'magnetic', value: true },
      { en: 'glow-in-the-dark', vi: 'phát sáng trong tối' },
    ],
    facts: [
      { en: 'The set has {n} pieces.', vi: 'Bộ gồm {n} mảnh.', key: 'pieces', from: 12, to: 1000 },
      { en: 'For children from {n} years.', vi: 'Cho bé từ {n} tuổi.', key: 'age_from', from: 2, to: 10 },
    ],
    notes: [
      { en: 'Painted with colours that are safe to chew on.', vi: 'Màu sơn an toàn cho bé.' },
      { en: 'Keeps two children busy on a rainy afternoon.', vi: 'Giữ hai bé bận rộn cả chiều mưa.' },
    ],
  },
  {
    name: 'Stationery', usd: [2, 45], hasColour: true,
    items: [
      { en: 'notebook', vi: 'sổ tay' },
      { en: 'fountain pen', vi: 'bút máy' },
      { en: 'brush pen set', vi: 'bộ bút lông' },
      { en: 'desk organiser', vi: 'khay để bàn' },
      { en: 'sketchbook', vi: 'sổ vẽ' },
      { en: 'weekly planner', vi: 'sổ kế hoạch tuần' },
    ],
    traits: [
      { en: 'recycled-paper', vi: 'giấy tái chế', key: 'recycled', value: true },
      { en: 'dotted', vi: 'chấm bi', key: 'ruling', value: 'dotted' },
      { en: 'hardcover', vi: 'bìa cứng', key: 'cover', value: 'hard' },
      { en: 'refillable', vi: 'thay ruột được', key: 'refillable', value: true },
      { en: 'pocket-size', vi: 'bỏ túi' },
    ],
    facts: [
      { en: 'Has {n} sheets.', vi: 'Gồm {n} tờ.', key: 'sheets', from: 40, to: 240 },
      { en: 'The paper weighs {n} g/m², so ink stays on its side.', vi: 'Giấy {n} g/m², không thấm mực.', key: 'gsm', from: 70, to: 200 },
    ],
    notes: [
      { en: 'Opens flat on any page.', vi: 'Mở phẳng ở mọi trang.' },
      { en: 'A ribbon marks where you stopped.', vi: 'Có dây đánh dấu trang.' },
    ],
  },
  {
    name: 'Cycling', usd: [7, 480], hasColour: true,
    items: [
      { en: 'city bicycle', vi: 'xe đạp thành phố' },
      { en: 'bicycle helmet', vi: 'mũ bảo hiểm xe đạp' },
      { en: 'bicycle light set', vi: 'bộ đèn xe đạp' },
      { en: 'floor pump', vi: 'bơm xe đạp' },
      { en: 'saddle', vi: 'yên xe đạp' },
      { en: 'bicycle lock', vi: 'khóa xe đạp' },
    ],
    traits: [
      { en: 'lightweight', vi: 'nhẹ' },
      { en: 'folding', vi: 'gấp', key: 'folding', value: true },
      { en: 'rechargeable', vi: 'sạc được', key: 'rechargeable', value: true },
      { en: 'gel', vi: 'đệm gel', key: 'padding', value: 'gel' },
      { en: 'reinforced', vi: 'gia cố' },
    ],
    facts: [
      { en: 'Weighs {n} grams.', vi: 'Nặng {n} gam.', key: 'weight_grams', from: 90, to: 12000 },
      { en: 'Seen from {n} metres away.', vi: 'Nhìn thấy từ {n} mét.', key: 'visible_metres', from: 100, to: 900 },
    ],
    notes: [
      { en: 'Mounted without tools.', vi: 'Lắp không cần dụng cụ.' },
      { en: 'Holds up to rain and rough lanes.', vi: 'Chịu được mưa và đường xóc.' },
    ],
  },
  {
    name: 'Camping', usd: [8, 330], hasColour: true,
    items: [
      { en: 'two-person tent', vi: 'lều hai người' },
      { en: 'sleeping bag', vi: 'túi ngủ' },
      { en: 'camping stove', vi: 'bếp cắm trại' },
      { en: 'head torch', vi: 'đèn đội đầu' },
      { en: 'folding chair', vi: 'ghế xếp dã ngoại' },
      { en: 'vacuum flask', vi: 'bình giữ nhiệt' },
    ],
    traits: [
      { en: 'ultralight', vi: 'siêu nhẹ' },
      { en: 'waterproof', vi: 'chống nước', key: 'waterproof', value: true },
      { en: 'insulated', vi: 'cách nhiệt', key: 'insulated', value: true },
      { en: 'compact', vi: 'gọn nhẹ' },
      { en: 'windproof', vi: 'chắn gió', key: 'windproof', value: true },
    ],
    facts: [
      { en: 'Packs down to {n} cm.', vi: 'Gấp gọn còn {n} cm.', key: 'packed_cm', from: 12, to: 60 },
      { en: 'Comfortable down to {n} °C.', vi: 'Dễ chịu tới {n} °C.', key: 'comfort_celsius', from: 0, to: 18 },
    ],
    notes: [
      { en: 'Set up in five minutes, also in the dark.', vi: 'Dựng trong năm phút, kể cả trời tối.' },
      { en: 'Carried over three passes before we sold the first one.', vi: 'Đã theo chúng tôi qua ba con đèo trước khi mở bán.' },
    ],
  },
];
