package messages

import (
	"errors"
	"io"
)

// AppendTrace appends to dst what applying a message changes: its records, with chunks of zeros in place of their data. It is some hundred bytes for a record.
// Payloads are not checked.
func AppendTrace(dst, msg []byte) ([]byte, error) {
	rd := NewReader(msg)
	var r Record
	for {
		if err := rd.Next(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return dst, nil
			}
			return dst, err
		}
		if r.Kind == KindData {
			r.Codec, r.Payload = CodecZero, nil
		}
		dst = AppendRecord(dst, &r)
	}
}

// Unbounded is the end of a range that has no end.
const Unbounded = int64(1) << 62

// Touches returns the range of the file's old bytes that are others, or gone, once the record is applied: the data of a chunk, what a seal cuts off, all of what is
// removed.
func (r *Record) Touches() (offset, length int64) {
	switch r.Kind {
	case KindData:
		return r.Offset, int64(r.RawLen)
	case KindSeal:
		return r.Size, Unbounded - r.Size
	case KindRemove:
		return 0, Unbounded
	}
	return 0, 0
}

// Touched is the receipt that says so, of a record that may have been applied or not.
func (r *Record) Touched() Receipt {
	t := Receipt{Session: r.Session, Kind: ReceiptTouched, Tree: r.Tree, Key: PathKey(r.Tree, r.Path)}
	t.Offset, t.Length = r.Touches()
	return t
}
