import { expect, it } from '@jest/globals';
import { asTypedVietnamese, oldStyleTones } from '../src/vietnamese.ts';

it.each([
  ['ddieenj', 'điện'], ['thoaij', 'thoại'], ['dd', undefined], ['ddi', 'đi'], ['ddoongf', 'đồng'], ['hoof', 'hồ'], ['nuowcs', 'nước'], ['nwowcs', 'nước'], ['nuwowcs', 'nước'],
  ['tuwf', 'từ'], ['twf', 'từ'], ['awn', 'ăn'], ['quanf', 'quần'.replace('ầ', 'à')], ['quaanf', 'quần'], ['quawng', 'quăng'], ['giayf', 'giày'], ['gif', 'gì'], ['gieengs', 'giếng'],
  ['muwa', 'mưa'], ['muaw', 'mưa'], ['hoaf', 'hòa'], ['hoanf', 'hoàn'], ['thuyr', 'thủy'], ['khuyur', 'khuỷu'], ['ngoaif', 'ngoài'], ['nguyeenx', 'nguyễn'], ['vieetj', 'việt'],
  ['vietej', 'việt'], ['dienej', 'diện'], ['diendje', 'điện'], ['dienedj', 'điện'], ['owr', 'ở'], ['toots', 'tốt'], ['xoong', 'xông'], ['maxx', undefined], ['max', 'mã'],
  ['d9ie6n5', 'điện'], ['dien65', 'diện'], ['d9ien65', 'điện'], ['thoai5', 'thoại'], ['nuoc71', 'nước'], ['nu7o7c1', 'nước'], ['an8', 'ăn'], ['tu72', 'từ'], ['quan62', 'quần'], ['dien5', 'diện'],
  ['class', undefined], ['off', undefined], ['access', undefined], ['jazz', undefined], ['glass', undefined], ['wifi', undefined], ['usb3', undefined], ['mp3', undefined], ['ps5', undefined],
  ['wh1000xm4', undefined], ['laptop', undefined], ['books', undefined], ['phone', undefined], ['dien', undefined], ['đieenj', undefined], ['a', undefined], ['', undefined],
  ['toc2', undefined], ['tocf', undefined], ['tocs', 'tóc'], ['aaaaaaaaaaaaa', undefined],
])('reads the keys %j as %j', (typed, written) => {
  expect(asTypedVietnamese(typed)[0]).toBe(written);
});

it.each([['hoà', 'hòa'], ['hòa', 'hòa'], ['khoẻ', 'khỏe'], ['thuỷ', 'thủy'], ['quý', 'quý'], ['hoàn', 'hoàn'], ['toán', 'toán'], ['điện', 'điện'], ['creme', 'creme']])('takes %j for %j', (word, old) => {
  expect(oldStyleTones(word)).toBe(old);
});

it('offers the words that a few marks more would make', () => {
  expect(asTypedVietnamese('dien5')).toEqual(['diện', 'điện']);
  expect(asTypedVietnamese('nuocs')).toEqual(expect.arrayContaining(['nuốc', 'nước']));
  for (const word of ['uouououj', 'aeiouyj', 'quuuuj', 'thuongj']) expect(asTypedVietnamese(word).length).toBeLessThanOrEqual(12);
});
