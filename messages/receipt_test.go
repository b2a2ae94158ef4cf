package messages

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
)

func goldenReceipts() []Receipt {
	return []Receipt{
		{Session: 1, Kind: ReceiptRange, Tree: TreeLocal, Key: PathKey(TreeLocal, "base/5/16384"), Offset: ChunkSize, Length: 1 << 30},
		{Session: 2, Kind: ReceiptSealed, Tree: TreeShared, Key: PathKey(TreeShared, "base/5/16384"), Length: 1 << 40},
		{Session: 0xfffffffe, Kind: ReceiptRemoved, Tree: TreeWAL, Key: math.MaxUint64},
	}
}

func TestGoldenReceipts(t *testing.T) {
	for name, want := range map[string][]Receipt{"receipts-v1.hex": goldenReceipts(), "receipts-v1-none.hex": nil, "receipts-v1-touched.hex": {
		{Session: 3, Kind: ReceiptTouched, Key: PathKey(TreeLocal, "base/5/16384"), Offset: ChunkSize, Length: Unbounded - ChunkSize}}} {
		msg := golden(t, name, AppendReceipts(nil, want))
		before := []Receipt{{Session: 9}}
		got, err := ReadReceipts(msg, before)
		if err != nil || !slices.Equal(got, append(before, want...)) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestDamagedReceipts(t *testing.T) {
	msg := AppendReceipts(nil, goldenReceipts())
	for bit := range len(msg) * 8 {
		msg[bit/8] ^= 1 << (bit % 8)
		if got, err := ReadReceipts(msg, nil); err == nil || len(got) != 0 {
			t.Errorf("bit %d of byte %d flipped: %d receipts, %v", bit%8, bit/8, len(got), err)
		}
		msg[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(msg) {
		if _, err := ReadReceipts(msg[:n:n], nil); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if _, err := ReadReceipts(append(msg, 0), nil); !errors.Is(err, ErrBadHeader) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestRefusedReceipts(t *testing.T) {
	for name, tt := range map[string]struct {
		r    Receipt
		want error
	}{
		"no kind":         {Receipt{}, ErrFutureVersion},
		"later kind":      {Receipt{Kind: maxReceiptKind + 1}, ErrFutureVersion},
		"later tree":      {Receipt{Kind: ReceiptRange, Tree: maxTree + 1}, ErrFutureVersion},
		"negative offset": {Receipt{Kind: ReceiptRange, Offset: -1}, ErrBadPayload},
		"negative length": {Receipt{Kind: ReceiptRange, Length: -1}, ErrBadPayload},
		"endless":         {Receipt{Kind: ReceiptRange, Offset: 1, Length: math.MaxInt64}, ErrBadPayload},
	} {
		msg := AppendReceipts(nil, []Receipt{goldenReceipts()[0], tt.r})
		if got, err := ReadReceipts(msg, nil); !errors.Is(err, tt.want) || len(got) != 0 {
			t.Errorf("%s: %d receipts, %v; want %v", name, len(got), err, tt.want)
		}
	}
	msg := AppendReceipts(nil, goldenReceipts())
	msg[4] = receiptVersion + 1
	if _, err := ReadReceipts(msg, nil); !errors.Is(err, ErrFutureVersion) {
		t.Errorf("later version: %v", err)
	}
	msg[4] = 0
	binary.LittleEndian.PutUint32(msg[len(msg)-4:], CRC32C(msg[:len(msg)-4]))
	if _, err := ReadReceipts(msg, nil); !errors.Is(err, ErrBadHeader) {
		t.Errorf("version 0: %v", err)
	}
}
