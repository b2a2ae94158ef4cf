package postgres

import "encoding/binary"

// PageSize is the block size of data files in bytes unless the control file says otherwise.
const PageSize = 8192

// checksumPrime and checksumOffsets are FNV_PRIME and checksumBaseOffsets of checksum_impl.h.
const checksumPrime = 16777619

var checksumOffsets = [32]uint32{
	0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
	0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
	0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
	0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
}

// PageChecksum computes the checksum of a page (pg_checksum_page). len(page) must be a block size, a multiple of 128 bytes; block counts from
// the beginning of the relation fork, not of the segment file. The page is not changed: the field pd_checksum is taken as zero.
func PageChecksum(page []byte, block uint32) uint16 {
	var sum uint32
	for lane := 0; lane < 32; lane += 8 {
		sum ^= checksumLanes(page, lane)
	}
	sum ^= block
	return uint16(sum%65535 + 1)
}

// checksumLanes folds eight of the 32 interleaved hashes. Eight of them are as many as stay in registers, and enough to hide the latency of
// the multiplications; all 32 in one pass would go through memory.
func checksumLanes(page []byte, lane int) uint32 {
	o := (*[8]uint32)(checksumOffsets[lane:])
	s0, s1, s2, s3, s4, s5, s6, s7 := o[0], o[1], o[2], o[3], o[4], o[5], o[6], o[7]
	mask := ^uint32(0)
	if lane == 0 {
		mask = 0xFFFF0000 // pd_checksum is the lower half of the third word
	}
	le := binary.LittleEndian
	for at := lane * 4; at+32 <= len(page); at += 128 {
		row := page[at : at+32 : at+32]
		s0 = checksumMix(s0, le.Uint32(row[0:]))
		s1 = checksumMix(s1, le.Uint32(row[4:]))
		s2 = checksumMix(s2, le.Uint32(row[8:])&mask)
		s3 = checksumMix(s3, le.Uint32(row[12:]))
		s4 = checksumMix(s4, le.Uint32(row[16:]))
		s5 = checksumMix(s5, le.Uint32(row[20:]))
		s6 = checksumMix(s6, le.Uint32(row[24:]))
		s7 = checksumMix(s7, le.Uint32(row[28:]))
		mask = ^uint32(0)
	}
	for range 2 { // two rounds of zeroes for additional mixing
		s0, s1, s2, s3 = checksumMix(s0, 0), checksumMix(s1, 0), checksumMix(s2, 0), checksumMix(s3, 0)
		s4, s5, s6, s7 = checksumMix(s4, 0), checksumMix(s5, 0), checksumMix(s6, 0), checksumMix(s7, 0)
	}
	return s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6 ^ s7
}

func checksumMix(sum, value uint32) uint32 {
	t := sum ^ value
	return t*checksumPrime ^ t>>17
}
