package messages

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// ReceiptKind says what a target has done.
type ReceiptKind uint8

const (
	ReceiptRange   ReceiptKind = 1 // bytes Offset to Offset+Length are durable
	ReceiptSealed  ReceiptKind = 2 // the file has its final size, the directory or link exists
	ReceiptRemoved ReceiptKind = 3 // the path does not exist any more

	// ReceiptTouched is no promise but a warning: bytes Offset to Offset+Length may be others than what was there before the session, and the path may exist. A process
	// that died was about to write them, from its memory.
	ReceiptTouched ReceiptKind = 4

	maxReceiptKind = ReceiptTouched
)

// Receipt is one thing that a target holds durably.
type Receipt struct {
	Session uint32
	Kind    ReceiptKind
	Tree    Tree
	Key     uint64 // PathKey of Tree and the path
	Offset  int64  // bytes; ReceiptRange and ReceiptTouched
	Length  int64  // bytes; ReceiptSealed and ReceiptRemoved: the record's Size
}

var receiptMagic = [4]byte{'P', 'C', 'R', 'C'}

const (
	receiptVersion = 1
	receiptHeader  = 12
	receiptSize    = 32
)

// AppendReceipts appends a receipts message to dst. A message of a stream holds one. Ranges that touch are best merged before.
func AppendReceipts(dst []byte, rs []Receipt) []byte {
	le := binary.LittleEndian
	at := len(dst)
	dst = slices.Grow(dst, receiptHeader+len(rs)*receiptSize+4)
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

// ReadReceipts appends the receipts of a message to dst. With an error dst comes back unchanged.
func ReadReceipts(msg []byte, dst []Receipt) ([]Receipt, error) {
	body, err := receiptBody(msg)
	if err != nil {
		return dst, fmt.Errorf("receipts: %w", err)
	}
	le := binary.LittleEndian
	out := slices.Grow(dst, len(body)/receiptSize)
	for b := body; len(b) > 0; b = b[receiptSize:] {
		r := Receipt{Session: le.Uint32(b), Kind: ReceiptKind(b[4]), Tree: Tree(b[5]), Key: le.Uint64(b[8:]),
			Offset: int64(le.Uint64(b[16:])), Length: int64(le.Uint64(b[24:]))}
		if r.Kind == 0 || r.Kind > maxReceiptKind || r.Tree > maxTree {
			return dst, fmt.Errorf("receipts: kind %d, tree %d: %w", r.Kind, r.Tree, ErrFutureVersion)
		}
		if r.Offset < 0 || r.Length < -1 || (r.Kind == ReceiptRange || r.Kind == ReceiptTouched) && r.Length < 0 || r.Offset > math.MaxInt64-max(r.Length, 0) {
			return dst, fmt.Errorf("receipts: %w: %d bytes at offset %d", ErrBadPayload, r.Length, r.Offset)
		}
		out = append(out, r)
	}
	return out, nil
}

// receiptBody checks the frame of a message and returns its entries.
func receiptBody(msg []byte) ([]byte, error) {
	if !bytes.HasPrefix(receiptMagic[:], msg[:min(len(msg), 4)]) {
		return nil, ErrBadMagic
	}
	if len(msg) < receiptHeader+4 {
		return nil, ErrTruncated
	}
	if msg[4] > receiptVersion {
		return nil, fmt.Errorf("version %d: %w", msg[4], ErrFutureVersion)
	}
	le := binary.LittleEndian
	sum := len(msg) - 4
	switch want := receiptHeader + receiptSize*int64(le.Uint32(msg[8:])); {
	case int64(sum) < want:
		return nil, ErrTruncated
	case int64(sum) > want:
		return nil, fmt.Errorf("%w: %d bytes too many", ErrBadHeader, int64(sum)-want)
	}
	if CRC32C(msg[:sum]) != le.Uint32(msg[sum:]) {
		return nil, ErrChecksum
	}
	if msg[4] == 0 {
		return nil, ErrBadHeader
	}
	return msg[receiptHeader:sum], nil
}
