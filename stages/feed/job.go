package feed

import (
	"polarcast/messages"
)

type itemKind uint8

const (
	itemStart  itemKind = iota + 1 // a file begins; nothing is published for it
	itemChunk                      // bytes of a file
	itemSeal                       // a file ends
	itemRecord                     // a record without file bytes
	itemMark                       // somebody waits for all before it to be durable
)

// item is one thing to publish, in reading order.
type item struct {
	kind     itemKind
	file     *openFile
	rec      messages.Record
	offset   int64 // of the chunk; for a seal how many bytes of the file its parts cover
	size     int64 // of a sealed file
	from, to int   // the chunk's bytes in the slab
	want     int   // the chunk's full length
	kept     int   // length of a chunk that is not read because the targets have it; it has no bytes in the slab
	mark     func()

	// filled by a worker
	hash      [16]byte
	crc       uint32
	unchanged bool
}

// job is a slab of raw bytes with what they are; it becomes one message.
type job struct {
	slab  []byte
	items []item
	out   []byte
	ready chan struct{} // closed by the worker
}

func (j *job) reset() {
	if j.slab == nil {
		j.slab = make([]byte, 0, slabSize)
	}
	j.slab, j.items, j.out = j.slab[:0], j.items[:0], nil
}
