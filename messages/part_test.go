package messages

import (
	"errors"
	"slices"
	"testing"
)

func goldenParts() []PartChunk {
	return []PartChunk{
		{Hash: Hash128(goldenRaw), CRC: CRC32C(goldenRaw), Len: ChunkSize, Published: true},
		{Hash: Hash128(nil), CRC: 0x01020304, Len: MaxChunkSize},
		{Hash: Hash128([]byte("a")), CRC: 0xfffffffe, Len: 1, Published: true},
		{Hash: Hash128([]byte("b")), CRC: 5, Len: 2, Kept: true},
	}
}

func TestGoldenPart(t *testing.T) {
	r := Record{Session: 4, Tree: TreeShared, Path: "base/5/16384", Offset: 2 * ChunkSize, Size: -1}
	msg := golden(t, "record-v1-part.hex", AppendPart(nil, &r, goldenParts()))
	got := readOne(t, msg)
	if got.Kind != KindPart || got.Session != 4 || got.Tree != TreeShared || got.Path != r.Path || got.Offset != r.Offset {
		t.Errorf("read back %+v", got)
	}
	before := []PartChunk{{CRC: 99}}
	chunks, err := got.PartChunks(before)
	if err != nil || !slices.Equal(chunks, append(before, goldenParts()...)) {
		t.Errorf("chunks %+v, %v", chunks, err)
	}
	if r.Kind != 0 {
		t.Error("AppendPart must leave its record as it was")
	}
}

// TestDamagedPart flips every bit of a part: the hashes in it decide what is read again, so none may change unnoticed.
func TestDamagedPart(t *testing.T) {
	msg := AppendPart(nil, &Record{Path: "f"}, goldenParts())
	for bit := range len(msg) * 8 {
		msg[bit/8] ^= 1 << (bit % 8)
		var r Record
		if err := NewReader(msg).Next(&r); err == nil {
			t.Errorf("nobody noticed that bit %d of byte %d was flipped", bit%8, bit/8)
		}
		msg[bit/8] ^= 1 << (bit % 8)
	}
}

func TestPartRefuses(t *testing.T) {
	big := readOne(t, AppendPart(nil, &Record{Path: "f"}, []PartChunk{{Len: 1}, {Len: MaxChunkSize + 1}}))
	if got, err := big.PartChunks(nil); !errors.Is(err, ErrTooLarge) || len(got) != 0 {
		t.Errorf("huge chunk: %v, %v", got, err)
	}
	if _, err := (&Record{Kind: KindSeal}).PartChunks(nil); !errors.Is(err, ErrBadPayload) {
		t.Errorf("a seal: %v", err)
	}
	empty := readOne(t, AppendPart(nil, &Record{Path: "f"}, nil))
	if got, err := empty.PartChunks(nil); err != nil || len(got) != 0 {
		t.Errorf("a part without chunks: %v, %v", got, err)
	}
}
