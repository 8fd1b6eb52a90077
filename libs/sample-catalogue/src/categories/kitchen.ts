import type { Category } from '../category.ts';

export const kitchen: readonly Category[] = [
  {
    name: 'Kitchen appliances', usd: [22, 380], hasColour: true,
    items: [
      { en: 'rice cooker', vi: 'nồi cơm điện' },
      { en: 'blender', vi: 'máy xay sinh tố' },
      { en: 'electric kettle', vi: 'ấm siêu tốc' },
      { en: 'air fryer', vi: 'nồi chiên không dầu' },
      { en: 'slow juicer', vi: 'máy ép chậm' },
      { en: 'toaster oven', vi: 'lò nướng mini' },
    ],
    traits: [
      { en: 'stainless steel', vi: 'inox', key: 'material', value: 'stainless steel' },
      { en: 'quiet', vi: 'chạy êm' },
      { en: 'programmable', vi: 'hẹn giờ', key: 'timer', value: true },
      { en: 'family-size', vi: 'cỡ gia đình' },
      { en: 'energy-saving', vi: 'tiết kiệm điện' },
    ],
    facts: [
      { en: 'Its {n} watts are ready in moments.', vi: 'Công suất {n} W, nóng nhanh.', key: 'power_watts', from: 300, to: 2200 },
      { en: 'Serves a table of {n}.', vi: 'Đủ cho bàn ăn {n} người.', key: 'serves', from: 2, to: 10 },
    ],
    notes: [
      { en: 'All parts that touch food go into the dishwasher.', vi: 'Các bộ phận chạm thức ăn rửa được bằng máy.' },
      { en: 'Switches itself off when it is empty.', vi: 'Tự ngắt khi cạn.' },
      { en: 'A recipe leaflet is in the box.', vi: 'Tặng kèm sách công thức.' },
    ],
  },
  {
    name: 'Cookware', usd: [9, 160], hasColour: false, sizes: ['16 cm', '20 cm', '24 cm', '26 cm', '28 cm', '30 cm'],
    items: [
      { en: 'frying pan', vi: 'chảo chiên' },
      { en: 'saucepan', vi: 'nồi nhỏ có tay cầm' },
      { en: 'wok', vi: 'chảo sâu lòng' },
      { en: 'stockpot', vi: 'nồi hầm' },
      { en: 'steamer', vi: 'xửng hấp' },
      { en: 'clay pot', vi: 'nồi đất' },
    ],
    traits: [
      { en: 'cast-iron', vi: 'gang', key: 'material', value: 'cast iron' },
      { en: 'non-stick', vi: 'chống dính', key: 'non_stick', value: true },
      { en: 'three-layer', vi: 'ba lớp đáy', key: 'layers', value: '3' },
      { en: 'enamelled', vi: 'tráng men', key: 'coating', value: 'enamel' },
      { en: 'copper-bottom', vi: 'đáy đồng', key: 'base', value: 'copper' },
    ],
    facts: [
      { en: 'The base is {n} mm thick and heats evenly.', vi: 'Đáy dày {n} mm, truyền nhiệt đều.', key: 'base_mm', from: 2, to: 7 },
      { en: 'Safe in the oven up to {n} °C.', vi: 'Dùng được trong lò tới {n} °C.', key: 'oven_celsius', from: 160, to: 260 },
    ],
    notes: [
      { en: 'Works on gas and induction.', vi: 'Dùng được bếp ga và bếp từ.' },
      { en: 'The lid fits tightly and keeps the steam in.', vi: 'Nắp kín, giữ hơi tốt.' },
    ],
  },
  {
    name: 'Coffee and tea', usd: [4, 48], hasColour: false, sizes: ['100 g', '200 g', '250 g', '500 g', '1 kg'],
    items: [
      { en: 'robusta coffee beans', vi: 'cà phê hạt robusta' },
      { en: 'arabica coffee beans', vi: 'cà phê hạt arabica' },
      { en: 'ground coffee for phin', vi: 'cà phê bột pha phin' },
      { en: 'green tea', vi: 'trà xanh' },
      { en: 'jasmine tea', vi: 'trà hoa nhài' },
      { en: 'oolong tea', vi: 'trà ô long' },
    ],
    traits: [
      { en: 'gift-boxed', vi: 'hộp quà', key: 'gift_box', value: true },
      { en: 'hand-picked', vi: 'hái tay' },
      { en: 'organic', vi: 'hữu cơ', key: 'organic', value: true },
      { en: 'highland', vi: 'vùng cao' },
      { en: 'single-origin', vi: 'một vùng trồng' },
    ],
    facts: [
      { en: 'Grown {n} metres above the sea.', vi: 'Trồng ở độ cao {n} mét.', key: 'altitude_metres', from: 600, to: 1800 },
      { en: 'Best within {n} months of opening.', vi: 'Ngon nhất trong {n} tháng sau khi mở.', key: 'best_months', from: 2, to: 12 },
    ],
    notes: [
      { en: 'Notes of cocoa, roasted nuts and a little orange.', vi: 'Hương ca cao, hạt rang và thoảng mùi cam.' },
      { en: 'Good with condensed milk and ice.', vi: 'Hợp uống với sữa đặc và đá.' },
      { en: 'Packed the week it leaves the farm.', vi: 'Đóng gói trong tuần thu hoạch.' },
    ],
  },
  {
    name: 'Groceries', usd: [2, 30], hasColour: false, sizes: ['150 g', '250 g', '350 ml', '500 ml', '500 g', '1 kg'],
    items: [
      { en: 'fish sauce', vi: 'nước mắm' },
      { en: 'cashew nuts', vi: 'hạt điều' },
      { en: 'rice noodles', vi: 'bún khô' },
      { en: 'chilli sauce', vi: 'tương ớt' },
      { en: 'dried mango', vi: 'xoài sấy' },
      { en: 'forest honey', vi: 'mật ong rừng' },
    ],
    traits: [
      { en: 'traditional', vi: 'truyền thống' },
      { en: 'organic', vi: 'hữu cơ', key: 'organic', value: true },
      { en: 'handmade', vi: 'thủ công' },
      { en: 'family-recipe', vi: 'gia truyền' },
      { en: 'no-sugar', vi: 'không đường', key: 'sugar_free', value: true },
    ],
    facts: [
      { en: 'Keeps for {n} months in a cool place.', vi: 'Bảo quản {n} tháng nơi thoáng mát.', key: 'shelf_months', from: 6, to: 24 },
      { en: 'Made in batches of {n} jars.', vi: 'Mỗi mẻ chỉ làm {n} hũ.', key: 'batch', from: 40, to: 400 },
    ],
    notes: [
      { en: 'Nothing artificial is added.', vi: 'Không chất bảo quản, không phẩm màu.' },
      { en: 'A pantry staple for quick dinners.', vi: 'Món cần có trong bếp cho bữa tối nhanh.' },
    ],
  },
  {
    name: 'Tableware', usd: [5, 95], hasColour: true,
    items: [
      { en: 'dinner plates', vi: 'bộ đĩa ăn' },
      { en: 'soup bowls', vi: 'bộ bát tô' },
      { en: 'teapot', vi: 'ấm trà' },
      { en: 'chopsticks', vi: 'đũa' },
      { en: 'water glasses', vi: 'bộ ly nước' },
    ],
    traits: [
      { en: 'hand-painted', vi: 'vẽ tay' },
      { en: 'ceramic', vi: 'gốm', key: 'material', value: 'ceramic' },
      { en: 'lacquered', vi: 'sơn mài', key: 'material', value: 'lacquer' },
      { en: 'stackable', vi: 'xếp chồng được', key: 'stackable', value: true },
      { en: 'coconut-wood', vi: 'gỗ dừa', key: 'material', value: 'coconut wood' },
    ],
    facts: [
      { en: 'A set of {n}.', vi: 'Bộ {n} chiếc.', key: 'pieces', from: 2, to: 12 },
      { en: 'Fired at {n} °C, so that it does not chip easily.', vi: 'Nung ở {n} °C nên khó mẻ.', key: 'fired_celsius', from: 1100, to: 1350 },
    ],
    notes: [
      { en: 'Every piece differs a little from the next.', vi: 'Mỗi chiếc một nét riêng.' },
      { en: 'Safe in the microwave and the dishwasher.', vi: 'Dùng được lò vi sóng và máy rửa bát.' },
    ],
  },
];
