import type { Category } from '../category.ts';

export const electronics: readonly Category[] = [
  {
    name: 'Headphones', usd: [19, 320], hasColour: true,
    items: [
      { en: 'over-ear headphones', vi: 'tai nghe chụp tai' },
      { en: 'in-ear earphones', vi: 'tai nghe nhét tai' },
      { en: 'wireless earbuds', vi: 'tai nghe không dây' },
      { en: 'gaming headset', vi: 'tai nghe chơi game' },
      { en: 'studio headphones', vi: 'tai nghe phòng thu' },
      { en: 'bone-conduction headphones', vi: 'tai nghe truyền âm qua xương' },
    ],
    traits: [
      { en: 'noise-cancelling', vi: 'chống ồn chủ động', key: 'noise_cancelling', value: true },
      { en: 'lightweight', vi: 'siêu nhẹ' },
      { en: 'foldable', vi: 'gập gọn', key: 'foldable', value: true },
      { en: 'sweat-resistant', vi: 'chống mồ hôi', key: 'water_resistance', value: 'IPX4' },
      { en: 'low-latency', vi: 'độ trễ thấp' },
    ],
    facts: [
      { en: 'Plays for up to {n} hours on one charge.', vi: 'Nghe liên tục tới {n} giờ sau mỗi lần sạc.', key: 'battery_hours', from: 6, to: 60 },
      { en: 'The {n} mm drivers keep voices clear and the bass calm.', vi: 'Màng loa {n} mm cho giọng hát rõ và âm trầm êm.', key: 'driver_mm', from: 8, to: 50 },
    ],
    notes: [
      { en: 'Soft cushions stay comfortable through a long flight.', vi: 'Đệm tai mềm, đeo cả chuyến bay dài vẫn dễ chịu.' },
      { en: 'Two microphones keep calls clear in a busy street.', vi: 'Hai micrô giúp cuộc gọi rõ ràng giữa phố đông.' },
      { en: 'A travel pouch and a charging cable are in the box.', vi: 'Hộp kèm túi đựng và cáp sạc.' },
    ],
  },
  {
    name: 'Speakers', usd: [25, 420], hasColour: true,
    items: [
      { en: 'portable speaker', vi: 'loa di động' },
      { en: 'soundbar', vi: 'loa thanh' },
      { en: 'bookshelf speakers', vi: 'loa kệ sách' },
      { en: 'shower speaker', vi: 'loa phòng tắm' },
      { en: 'karaoke speaker', vi: 'loa karaoke' },
    ],
    traits: [
      { en: 'waterproof', vi: 'chống nước', key: 'water_resistance', value: 'IPX7' },
      { en: 'wooden', vi: 'vỏ gỗ', key: 'material', value: 'wood' },
      { en: 'compact', vi: 'nhỏ gọn' },
      { en: 'multi-room', vi: 'phát nhiều phòng', key: 'multi_room', value: true },
      { en: 'battery-powered', vi: 'dùng pin' },
    ],
    facts: [
      { en: 'Its {n} watts fill a living room without strain.', vi: 'Công suất {n} W đủ cho cả phòng khách.', key: 'power_watts', from: 10, to: 180 },
      { en: 'Connects to your phone from {n} metres away.', vi: 'Kết nối điện thoại từ khoảng cách {n} mét.', key: 'range_metres', from: 10, to: 30 },
    ],
    notes: [
      { en: 'Two of them can be paired for stereo.', vi: 'Ghép đôi hai loa để nghe âm thanh nổi.' },
      { en: 'Large buttons are easy to find in the dark.', vi: 'Nút bấm lớn, dễ tìm trong bóng tối.' },
    ],
  },
  {
    name: 'Phone accessories', usd: [6, 75], hasColour: true,
    items: [
      { en: 'power bank', vi: 'pin sạc dự phòng' },
      { en: 'wall charger', vi: 'củ sạc' },
      { en: 'charging cable', vi: 'cáp sạc' },
      { en: 'phone case', vi: 'ốp lưng điện thoại' },
      { en: 'car phone holder', vi: 'giá đỡ điện thoại ô tô' },
      { en: 'wireless charging pad', vi: 'đế sạc không dây' },
    ],
    traits: [
      { en: 'fast', vi: 'sạc nhanh', key: 'fast_charging', value: true },
      { en: 'magnetic', vi: 'nam châm', key: 'magnetic', value: true },
      { en: 'braided', vi: 'bọc dù', key: 'material', value: 'nylon' },
      { en: 'slim', vi: 'siêu mỏng' },
      { en: 'shockproof', vi: 'chống sốc' },
    ],
    facts: [
      { en: 'Delivers up to {n} watts.', vi: 'Công suất tối đa {n} W.', key: 'power_watts', from: 10, to: 100 },
      { en: 'Tested for {n},000 bends and plugs.', vi: 'Đã thử {n}.000 lần gập và cắm.', key: 'cycles_thousand', from: 5, to: 30 },
    ],
    notes: [
      { en: 'Stops by itself when the battery is full.', vi: 'Tự ngắt khi pin đầy.' },
      { en: 'Small enough for a shirt pocket.', vi: 'Gọn trong túi áo.' },
    ],
  },
  {
    name: 'Computer accessories', usd: [9, 260], hasColour: true,
    items: [
      { en: 'mechanical keyboard', vi: 'bàn phím cơ' },
      { en: 'wireless mouse', vi: 'chuột không dây' },
      { en: 'laptop stand', vi: 'giá đỡ laptop' },
      { en: 'USB hub', vi: 'bộ chia cổng USB' },
      { en: 'webcam', vi: 'webcam' },
      { en: 'monitor arm', vi: 'tay treo màn hình' },
    ],
    traits: [
      { en: 'silent', vi: 'yên tĩnh' },
      { en: 'ergonomic', vi: 'công thái học', key: 'ergonomic', value: true },
      { en: 'aluminium', vi: 'nhôm', key: 'material', value: 'aluminium' },
      { en: 'adjustable', vi: 'điều chỉnh được' },
      { en: 'backlit', vi: 'có đèn nền', key: 'backlit', value: true },
    ],
    facts: [
      { en: 'Guaranteed for {n} million clicks.', vi: 'Độ bền {n} triệu lần nhấn.', key: 'clicks_million', from: 10, to: 80 },
      { en: 'Comes with a {n} cm cable.', vi: 'Kèm dây dài {n} cm.', key: 'cable_cm', from: 60, to: 200 },
    ],
    notes: [
      { en: 'Works without drivers on every common system.', vi: 'Cắm là chạy, không cần cài đặt.' },
      { en: 'Rubber feet keep it in its place.', vi: 'Chân cao su chống trượt.' },
      { en: 'Made for long days at a small desk.', vi: 'Hợp với bàn làm việc nhỏ và ngày làm dài.' },
    ],
  },
  {
    name: 'Lighting', usd: [8, 190], hasColour: true,
    items: [
      { en: 'desk lamp', vi: 'đèn bàn' },
      { en: 'floor lamp', vi: 'đèn cây' },
      { en: 'pendant light', vi: 'đèn thả trần' },
      { en: 'night light', vi: 'đèn ngủ' },
      { en: 'LED bulb set', vi: 'bộ bóng đèn LED' },
      { en: 'garden lantern', vi: 'đèn lồng sân vườn' },
    ],
    traits: [
      { en: 'bamboo', vi: 'tre', key: 'material', value: 'bamboo' },
      { en: 'dimmable', vi: 'chỉnh độ sáng', key: 'dimmable', value: true },
      { en: 'rattan', vi: 'mây đan', key: 'material', value: 'rattan' },
      { en: 'solar', vi: 'năng lượng mặt trời', key: 'power', value: 'solar' },
      { en: 'warm-white', vi: 'ánh sáng vàng' },
    ],
    facts: [
      { en: 'Gives {n} lumens of even light.', vi: 'Ánh sáng đều {n} lumen.', key: 'lumens', from: 120, to: 1800 },
      { en: 'The LEDs last about {n} years of evenings.', vi: 'Đèn LED bền khoảng {n} năm.', key: 'life_years', from: 5, to: 15 },
    ],
    notes: [
      { en: 'Does not flicker, which tired eyes will notice.', vi: 'Không nhấp nháy, dịu mắt khi đọc lâu.' },
      { en: 'The switch remembers the last level.', vi: 'Công tắc nhớ mức sáng gần nhất.' },
    ],
  },
];
