/** Invented names; none is meant to be a company's. */
export const brands: readonly string[] = [
  'Brimlow', 'Kestwick', 'Ardenfell', 'Noorvik', 'Halvorne', 'Quillmoor', 'Tamsyr', 'Verrowin', 'Ostelle', 'Pellaquin',
  'Junivar', 'Marrowby', 'Fennaghe', 'Thistlewyn', 'Corvanne', 'Dunmarrow', 'Elbrith', 'Galloran', 'Hestovar', 'Ibberly',
  'Kavelune', 'Lorrimund', 'Myrrowen', 'Nethercove', 'Oakwarden', 'Pikovelle', 'Rundavik', 'Sablethorn', 'Tuvolane', 'Umberlyn',
  'Vastelow', 'Wickenfarn', 'Yarrowgate', 'Zellimor', 'Aldramere', 'Bexhollow', 'Cindervale', 'Drostane', 'Eskerrow', 'Farlindel',
  'Nắng Ban Trưa', 'Gió Lưng Đồi', 'Sương Mai Lụa', 'Đất Nâu Xưa', 'Cánh Diều Giấy', 'Suối Đá Rêu', 'Lá Phong Nhỏ', 'Mây Chân Núi', 'Thuyền Nan Gỗ', 'Bếp Khói Lam',
  'Trăng Đầu Ngõ', 'Hiên Nhà Mưa', 'Vườn Ông Khế', 'Sóng Cửa Lạch', 'Đồi Chè Sớm', 'Chợ Phiên Mây', 'Gốm Bến Sông', 'Lụa Bờ Tre', 'Đèn Hẻm Nhỏ', 'Ngõ Hoa Sữa Xưa',
];

/** The first is the merchant that every installation has. */
export const merchants: readonly { readonly id: number; readonly name: string }[] = [
  { id: 1, name: 'Default merchant' },
  { id: 2, name: 'Harbour Lane Store' },
  { id: 3, name: 'Northgate Supply' },
  { id: 4, name: 'Cửa hàng Ngõ Nhỏ' },
  { id: 5, name: 'Tiệm Bến Sông' },
  { id: 6, name: 'Chợ Đầu Làng' },
];

export const colours: readonly { readonly en: string; readonly vi: string }[] = [
  { en: 'black', vi: 'đen' },
  { en: 'white', vi: 'trắng' },
  { en: 'grey', vi: 'xám' },
  { en: 'navy blue', vi: 'xanh navy' },
  { en: 'moss green', vi: 'xanh rêu' },
  { en: 'brick red', vi: 'đỏ gạch' },
  { en: 'mustard yellow', vi: 'vàng mù tạt' },
  { en: 'cream', vi: 'kem' },
  { en: 'brown', vi: 'nâu' },
  { en: 'pink', vi: 'hồng' },
];
