package messages

import (
	"encoding/binary"
	"fmt"
)

// ReceiptKind says what a target has done.
type ReceiptKind uint8

const (
	ReceiptRange   ReceiptKind = 1 // bytes Offset to Offset+Length are durable
	ReceiptSealed  ReceiptKind = 2 // the file has its final size, the directory or link exists
	ReceiptRemoved ReceiptKind = 3 // the path does not exist any more
)

// Receipt is one thing that a target holds durably.
type Receipt struct {
	Session uint32
	Kind    ReceiptKind
	Tree    Tree
	Key     uint64 // PathKey
	Offset  int64
	Length  int64
}

var receiptMagic = [4]byte{'P', 'C', 'R', 'C'}

const (
	receiptVersion = 1
	receiptHeader  = 12
	receiptSize    = 32
)

// AppendReceipts appends a receipts message to dst, which should be empty.
func AppendReceipts(dst []byte, rs []Receipt) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = append(dst, receiptMagic[:]...)
	dst = append(dst, receiptVersion, 0, 0, 0)
	dst = le.AppendUint32(dst, uint32(len(rs)))
	for i := range rs {
		r := &rs[i]
		dst = le.AppendUint32(dst, r.Session)
		dst = append(dst, byte(r.Kind), byte(r.Tree), 0, 0)
		dst = le.AppendUint64(dst, r.Key)
		dst = le.AppendUint64(dst, uint64(r.Offset))
		dst = le.AppendUint64(dst, uint64(r.Length))
	}
	return le.AppendUint32(dst, CRC32C(dst[at:]))
}

// ReadReceipts appends the receipts of a message to dst.
func ReadReceipts(msg []byte, dst []Receipt) ([]Receipt, error) {
	le := binary.LittleEndian
	if len(msg) < receiptHeader+4 {
		return dst, fmt.Errorf("receipts: %w", ErrTruncated)
	}
	if [4]byte(msg[:4]) != receiptMagic {
		return dst, fmt.Errorf("receipts: %w", ErrBadMagic)
	}
	if msg[4] > receiptVersion {
		return dst, fmt.Errorf("receipts: %w", ErrFutureVersion)
	}
	n := int64(le.Uint32(msg[8:]))
	if int64(len(msg)) != receiptHeader+n*receiptSize+4 {
		return dst, fmt.Errorf("receipts: %w", ErrTruncated)
	}
	if CRC32C(msg[:len(msg)-4]) != le.Uint32(msg[len(msg)-4:]) {
		return dst, fmt.Errorf("receipts: %w", ErrChecksum)
	}
	for b := msg[receiptHeader : len(msg)-4]; len(b) > 0; b = b[receiptSize:] {
		dst = append(dst, Receipt{Session: le.Uint32(b), Kind: ReceiptKind(b[4]), Tree: Tree(b[5]), Key: le.Uint64(b[8:]),
			Offset: int64(le.Uint64(b[16:])), Length: int64(le.Uint64(b[24:]))})
	}
	return dst, nil
}
