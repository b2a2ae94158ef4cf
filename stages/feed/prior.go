package feed

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	"polarcast/messages"
	"polarcast/pipeline"
)

// Prior knows what earlier sessions of a backup delivered: for every file the chunks with their hashes. The hashes are spilled to a
// temporary file, so that memory holds some 40 bytes a file whatever the size of the database.
//
// Its methods may be called from several goroutines.
type Prior struct {
	mu    sync.Mutex // guards what changes after loading: seen
	spill *os.File
	w     *bufio.Writer
	size  int64
	files map[uint64]*priorRef
	miss  map[uint64][]messages.MissingRange
	all   bool // everything is missing
}

// priorRef leads to the last spilled part of a file; each spilled part names the one before it.
type priorRef struct {
	last int64
	path string
	tree messages.Tree
	seen bool
}

// priorChunk is one delivered chunk.
type priorChunk struct {
	Hash [16]byte
	CRC  uint32
	len  uint32
}

// priorFile holds the delivered chunks of one file by offset.
type priorFile struct {
	chunks map[int64]*priorChunk
}

func (p *priorFile) at(offset int64, n int) *priorChunk {
	if p == nil {
		return nil
	}
	if c := p.chunks[offset]; c != nil && int(c.len) == n {
		return c
	}
	return nil
}

const spillHeader = 8 + 8 + 4 // previous part, offset, chunks
const spillChunk = 16 + 4 + 4 // hash, CRC32C, length
const noPart = int64(-1)

// LoadPrior reads the index of the sessions before session. It returns nil when there were none. What a target found missing is left out,
// so that it is published again. dir is where the spill file goes ("" is the system's temporary directory).
func LoadPrior(ctx context.Context, c *pipeline.Client, backup string, session uint32, missing []messages.MissingRange, dir string) (*Prior, error) {
	if session <= 1 {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, "polarcast-prior-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file for the index of backup %q: %w", backup, err)
	}
	_ = os.Remove(f.Name()) // the open descriptor keeps it until Close or the end of the process
	p := &Prior{spill: f, w: bufio.NewWriterSize(f, 256<<10), files: map[uint64]*priorRef{}, miss: map[uint64][]messages.MissingRange{}}
	for _, m := range missing {
		p.all = p.all || m.Path == "" // more than could be named
		k := messages.PathKey(m.Tree, m.Path)
		p.miss[k] = append(p.miss[k], m)
	}
	var chunks []messages.PartChunk
	err = c.Index(ctx, backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fmt.Errorf("index of backup %q: %w", backup, err)
			}
			if r.Session >= session {
				continue
			}
			var err error
			switch r.Kind {
			case messages.KindPart:
				if chunks, err = r.PartChunks(chunks[:0]); err == nil {
					err = p.add(&r, chunks)
				}
			case messages.KindRemove:
				delete(p.files, messages.PathKey(r.Tree, r.Path))
			case messages.KindSeal:
				// The seal cut the file at this size: what earlier parts say of bytes beyond it is no longer there.
				cut := r
				cut.Offset = r.Size
				err = p.add(&cut, nil)
			default:
				p.ref(r.Tree, r.Path)
			}
			if err != nil {
				return err
			}
		}
	})
	if err == nil {
		err = p.w.Flush()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *Prior) ref(t messages.Tree, path string) *priorRef {
	k := messages.PathKey(t, path)
	r := p.files[k]
	if r == nil {
		r = &priorRef{last: noPart, path: path, tree: t}
		p.files[k] = r
	}
	return r
}

func (p *Prior) add(r *messages.Record, chunks []messages.PartChunk) error {
	ref := p.ref(r.Tree, r.Path)
	b := make([]byte, spillHeader, spillHeader+len(chunks)*spillChunk)
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(ref.last))
	le.PutUint64(b[8:], uint64(r.Offset))
	le.PutUint32(b[16:], uint32(len(chunks)))
	for i := range chunks {
		b = append(b, chunks[i].Hash[:]...)
		b = le.AppendUint32(b, chunks[i].CRC)
		b = le.AppendUint32(b, chunks[i].Len)
	}
	if _, err := p.w.Write(b); err != nil {
		return fmt.Errorf("cannot write the temporary index file %s: %w", p.spill.Name(), err)
	}
	ref.last = p.size
	p.size += int64(len(b))
	return nil
}

// file returns the delivered chunks of one file and marks it as seen; nil when nothing of it was delivered.
func (p *Prior) file(t messages.Tree, path string) (*priorFile, error) {
	key := messages.PathKey(t, path)
	ref := p.files[key]
	if ref == nil {
		return nil, nil
	}
	p.mu.Lock()
	ref.seen = true
	p.mu.Unlock()
	if ref.last == noPart {
		return nil, nil
	}
	pf := &priorFile{chunks: map[int64]*priorChunk{}}
	var head [spillHeader]byte
	le := binary.LittleEndian
	limit := int64(math.MaxInt64)
	for at := ref.last; at != noPart; {
		if _, err := p.spill.ReadAt(head[:], at); err != nil {
			return nil, fmt.Errorf("cannot read the temporary index file %s: %w", p.spill.Name(), err)
		}
		body := make([]byte, int(le.Uint32(head[16:]))*spillChunk)
		if _, err := p.spill.ReadAt(body, at+spillHeader); err != nil {
			return nil, fmt.Errorf("cannot read the temporary index file %s: %w", p.spill.Name(), err)
		}
		off := int64(le.Uint64(head[8:]))
		if len(body) == 0 {
			limit = min(limit, off)
		}
		for ; len(body) > 0; body = body[spillChunk:] {
			c := &priorChunk{CRC: le.Uint32(body[16:]), len: le.Uint32(body[20:])}
			copy(c.Hash[:], body)
			// Parts are walked from the newest to the oldest: what a later session delivered wins.
			if _, newer := pf.chunks[off]; !newer && off+int64(c.len) <= limit && !p.missing(key, off, int64(c.len)) {
				pf.chunks[off] = c
			}
			off += int64(c.len)
		}
		at = int64(le.Uint64(head[0:]))
	}
	return pf, nil
}

func (p *Prior) missing(key uint64, off, n int64) bool {
	if p.all {
		return true
	}
	for _, m := range p.miss[key] {
		if off < m.Offset+m.Length && m.Offset < off+n {
			return true
		}
	}
	return false
}

// Seen marks a path that has no bytes (a directory, a link) as still listed.
func (p *Prior) Seen(t messages.Tree, path string) {
	if p == nil {
		return
	}
	if r := p.files[messages.PathKey(t, path)]; r != nil {
		p.mu.Lock()
		r.seen = true
		p.mu.Unlock()
	}
}

// Gone calls fn for each path of the given trees that was delivered before and not seen in this session.
func (p *Prior) Gone(fn func(t messages.Tree, path string) error) error {
	if p == nil {
		return nil
	}
	for _, r := range p.files {
		if r.seen || r.tree == messages.TreeWAL {
			continue
		}
		if err := fn(r.tree, r.path); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the spill file back.
func (p *Prior) Close() error {
	if p == nil {
		return nil
	}
	return p.spill.Close()
}
