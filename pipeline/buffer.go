package pipeline

import (
	"sync"

	"polarcast/messages"
)

// bufferSize is the capacity of pooled buffers, in bytes: a chunk message of incompressible data, with headers.
const bufferSize = 2*messages.ChunkSize + 16<<10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }}

// Buffer returns an empty buffer that fits a chunk message. It goes back with Publish or Release.
func (p *Publisher) Buffer() []byte { return (*buffers.Get().(*[]byte))[:0] }

// Release gives back a buffer that is not published.
func (p *Publisher) Release(b []byte) { releaseBuffer(b) }

func releaseBuffer(b []byte) {
	if cap(b) == bufferSize {
		b = b[:0]
		buffers.Put(&b)
	}
}
