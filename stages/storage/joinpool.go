package storage

import "polarcast/pfs"

// joinPool has the buffers in which the writes of all files of one kind are joined. It bounds their memory.
type joinPool struct {
	size int // of a buffer and thus of a write, in bytes
	// small is the size of the buffers of files that find no large one left; 0 says that such a file writes what comes as it comes.
	small int
	free  chan []byte
}

// Writes to PFS. A call costs about 165 µs whatever its size, and a write that makes the file longer two commits of the journal: 32 KiB writes
// reach half the rate of 1 MiB ones, 4 MiB is the largest that libpfsd takes.
var pfsJoins = newJoinPool(4<<20, 1<<20, 12)

// directJoins is for writes around the page cache. Each is as long on its way as the device takes for it.
var directJoins = newJoinPool(2<<20, 0, 8)

func newJoinPool(size, small, buffers int) *joinPool {
	p := &joinPool{size: size, small: small, free: make(chan []byte, buffers)}
	for range buffers {
		p.free <- nil // made when it is first used
	}
	return p
}

// get returns an empty buffer, nil when there is none.
func (p *joinPool) get() []byte {
	size := p.size
	select {
	case b := <-p.free:
		if b != nil {
			return b[:0]
		}
	default:
		if size = p.small; size == 0 {
			return nil
		}
	}
	return pfs.AlignedBuffer(size)
}

// put takes a buffer back. Small ones are not kept.
func (p *joinPool) put(b []byte) {
	if cap(b) != p.size {
		return
	}
	select {
	case p.free <- b:
	default:
	}
}
