/** A Vietnamese shop and what its shoppers type, for the contract and for the evaluation. */
import { product } from './fixture.ts';

/** Sixty products of a Vietnamese shop, with words that differ in their marks alone. */
const NAMES: Readonly<Record<string, string>> = {
  v01: 'Điện thoại thông minh màn hình lớn', v02: 'Điện thoại bàn có dây', v03: 'Ốp lưng điện thoại', v04: 'Tai nghe không dây chống ồn', v05: 'Loa bluetooth mini',
  v06: 'Máy giặt cửa trước 9 kg', v07: 'Máy lạnh tiết kiệm điện', v08: 'Tủ lạnh hai cánh', v09: 'Nồi cơm điện 1,8 lít', v10: 'Ấm đun nước siêu tốc',
  v11: 'Quạt đứng ba tốc độ', v12: 'Quạt trần gỗ', v13: 'Bàn ủi hơi nước', v14: 'Bàn ăn gỗ sồi', v15: 'Bán kính đo góc',
  v16: 'Bạn đồng hành du lịch', v17: 'Đường trắng tinh luyện', v18: 'Đường phèn', v19: 'Sách dương cầm cơ bản', v20: 'Bản đồ đương đại',
  v21: 'Muối biển hạt to', v22: 'Đèn bắt muỗi', v23: 'Kem chống muỗi', v24: 'Kẽm viên uống', v25: 'Nước mắm cá cơm',
  v26: 'Cà phê rang xay', v27: 'Cá hồi phi lê', v28: 'Sữa tươi không đường', v29: 'Dịch vụ sửa máy tính', v30: 'Gỏi sứa ăn liền',
  v31: 'Dưa leo sạch', v32: 'Dừa xiêm gọt vỏ', v33: 'Dứa sấy dẻo', v34: 'Đũa tre vót tay', v35: 'Bơ lạt', v36: 'Thịt bò Úc', v37: 'Bộ dao nhà bếp',
  v38: 'Đèn bàn học', v39: 'Vải đen trơn', v40: 'Tượng đền cổ', v41: 'Vở ô li', v42: 'Vỏ gối lụa', v43: 'Bút bi xanh', v44: 'Bình hòa tan', v45: 'Nước rửa tay sạch khỏe',
  v46: 'Áo sơ mi nam', v47: 'Quần tây nữ', v48: 'Giày thể thao', v49: 'Dép tổ ong', v50: 'Mũ bảo hiểm', v51: 'Ví da nam', v52: 'Khăn quàng cổ',
  v53: 'Thủy tinh chịu nhiệt', v54: 'Nguyễn Du toàn tập', v55: 'Ghế xếp', v56: 'Class teacher notebook', v57: 'Off-road access kit', v58: 'Jazz vinyl record', v59: 'Gạo lứt đỏ', v60: 'Bánh tráng me',
};

export const VIETNAMESE_SHOP = Object.entries(NAMES).map(([sku, name]) => product({ sku, name, currency: 'VND' }));

export interface VietnameseCase {
  readonly q: string;
  /** The first hits, in any order among themselves. */
  readonly first?: readonly string[];
  /** All hits, in any order. */
  readonly all?: readonly string[];
  readonly didYouMean?: string;
}

export const EXACT: VietnameseCase[] = [
  { q: 'đường', first: ['v17', 'v18', 'v28'] },
  { q: 'dương', first: ['v19'] },
  { q: 'đương', first: ['v20'] },
  { q: 'muối', first: ['v21'] },
  { q: 'muỗi', first: ['v22', 'v23'] },
  { q: 'kem', all: ['v23', 'v24'] },
  { q: 'kẽm', first: ['v24'] },
  { q: 'bàn', first: ['v02', 'v13', 'v14', 'v38'] },
  { q: 'bán', first: ['v15'] },
  { q: 'bạn', first: ['v16'] },
  { q: 'bản', first: ['v20'] },
  { q: 'cà', first: ['v26'] },
  { q: 'cá', first: ['v25', 'v27'] },
  { q: 'sữa', first: ['v28'] },
  { q: 'sửa', first: ['v29'] },
  { q: 'sứa', first: ['v30'] },
  { q: 'dưa', first: ['v31'] },
  { q: 'dừa', first: ['v32'] },
  { q: 'dứa', first: ['v33'] },
  { q: 'đũa', first: ['v34'] },
  { q: 'bơ', first: ['v35'] },
  { q: 'bò', first: ['v36'] },
  { q: 'bộ', first: ['v37'] },
  { q: 'đèn', first: ['v22', 'v38'] },
  { q: 'đen', first: ['v39'] },
  { q: 'đền', first: ['v40'] },
  { q: 'vở', first: ['v41'] },
  { q: 'vỏ', first: ['v32', 'v42'] },
  { q: 'ĐÈN BÀN', first: ['v38'] },
  { q: 'cà phê', first: ['v26'] },
  { q: 'nước mắm', first: ['v25'] },
  { q: 'Ấm đun nước'.normalize('NFD'), first: ['v10'] },
  { q: 'hoà tan', first: ['v44'] },
  { q: 'hòa tan', first: ['v44'] },
  { q: 'thuỷ tinh', first: ['v53'] },
  { q: 'khoẻ', first: ['v45'] },
];

export const UNACCENTED: VietnameseCase[] = [
  { q: 'dien thoai', first: ['v01', 'v02', 'v03'] },
  { q: 'DIEN THOAI', first: ['v01', 'v02', 'v03'] },
  { q: 'đien thoai', first: ['v01', 'v02', 'v03'] },
  { q: 'duong', all: ['v17', 'v18', 'v19', 'v20', 'v28'] },
  { q: 'sua', all: ['v28', 'v29', 'v30'] },
  { q: 'dua', all: ['v31', 'v32', 'v33', 'v34'] },
  { q: 'may giat', first: ['v06'] },
  { q: 'tu lanh', first: ['v08'] },
  { q: 'noi com dien', first: ['v09'] },
  { q: 'am dun nuoc', first: ['v10'] },
  { q: 'ao so mi', first: ['v46'] },
  { q: 'giay the thao', first: ['v48'] },
  { q: 'mu bao hiem', first: ['v50'] },
  { q: 'hoa tan', first: ['v44'] },
];

export const TELEX: VietnameseCase[] = [
  { q: 'ddieenj thoaij', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'dienej thoaij', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'Ddieenj Thoaij', first: ['v01', 'v02', 'v03'], didYouMean: 'Điện Thoại' },
  { q: 'ddienj thoaij', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'dduwowngf', first: ['v17', 'v18', 'v28'], didYouMean: 'đường' },
  { q: 'duwowng', first: ['v19'], didYouMean: 'dương' },
  { q: 'maays giatwj', first: ['v06'], didYouMean: 'may giặt' },
  { q: 'mays giawtj', first: ['v06'], didYouMean: 'máy giặt' },
  { q: 'tur lanhj', first: ['v08'], didYouMean: 'tủ lạnh' },
  { q: 'tủ lanhj', first: ['v08'], didYouMean: 'tủ lạnh' },
  { q: 'noofi cowm ddieenj', first: ['v09'], didYouMean: 'nồi cơm điện' },
  { q: 'aams ddun nuwowcs', first: ['v10'], didYouMean: 'ấm đun nước' },
  { q: 'quatj traanf', first: ['v12'], didYouMean: 'quạt trần' },
  { q: 'banf ui', first: ['v13'], didYouMean: 'bàn ui' },
  { q: 'muoois', first: ['v21'], didYouMean: 'muối' },
  { q: 'muooix', first: ['v22', 'v23'], didYouMean: 'muỗi' },
  { q: 'caf phee', first: ['v26'], didYouMean: 'cà phê' },
  { q: 'suwax tuwowi', first: ['v28'], didYouMean: 'sữa tươi' },
  { q: 'ddeenf', first: ['v40'], didYouMean: 'đền' },
  { q: 'quaanf taay', first: ['v47'], didYouMean: 'quần tây' },
  { q: 'giayf', first: ['v48'], didYouMean: 'giày' },
  { q: 'mux', first: ['v50'], didYouMean: 'mũ' },
  { q: 'khawn', first: ['v52'], didYouMean: 'khăn' },
  { q: 'nguyeenx', first: ['v54'], didYouMean: 'nguyễn' },
  { q: 'gheess', all: [] },
  { q: 'ghees', first: ['v55'], didYouMean: 'ghế' },
  { q: 'gaoj', first: ['v59'], didYouMean: 'gạo' },
];

export const VNI: VietnameseCase[] = [
  { q: 'd9ie6n5 thoai5', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'dien65 thoai5', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'dien5 thoai5', first: ['v01', 'v02', 'v03'], didYouMean: 'điện thoại' },
  { q: 'd9uong72', first: ['v17', 'v18', 'v28'], didYouMean: 'đường' },
  { q: 'may1 giat85', first: ['v06'], didYouMean: 'máy giặt' },
  { q: 'tu3 lanh5', first: ['v08'], didYouMean: 'tủ lạnh' },
  { q: 'nuoc71 mam81', first: ['v25'], didYouMean: 'nước mắm' },
  { q: 'ca2 phe6', first: ['v26'], didYouMean: 'cà phê' },
  { q: 'but1 bi', first: ['v43'], didYouMean: 'bút bi' },
];

/** What looks like typed Vietnamese and is a word, or nothing at all. */
export const UNTOUCHED: VietnameseCase[] = [
  { q: 'class', all: ['v56'] },
  { q: 'off', all: ['v57'] },
  { q: 'access', all: ['v57'] },
  { q: 'jazz', all: ['v58'] },
  { q: 'loa mini', first: ['v05'] },
  { q: 'me', all: ['v60'] },
  { q: 'wh1000', all: [] },
  { q: 'iphone15', all: [] },
];
