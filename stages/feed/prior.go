package feed

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"polarcast/messages"
	"polarcast/pipeline"
)

// Prior knows what earlier sessions of a backup delivered, and in a delta backup what the targets held before: for every file the chunks with
// their hashes. The hashes are spilled to a temporary file, so that memory holds some 40 bytes a file whatever the size of the database.
//
// Its methods may be called from several goroutines.
type Prior struct {
	mu    sync.Mutex // guards what changes after loading: seen
	spill *os.File
	w     *bufio.Writer
	size  int64
	files map[uint64]*priorRef
	miss  map[uint64][]lost
	all   uint32 // everything up to this session is missing

	chunks []messages.PartChunk // scratch
	offers map[string]uint32    // targets of a delta backup, numbered from 1
}

// priorRef leads to the last spilled part of a file; each spilled part names the one before it.
type priorRef struct {
	last int64
	path string
	tree messages.Tree
	seen bool
}

// lost is a range of a file that a target found missing when session was the last one. What a later session published of it is there again, unless it
// was found missing again.
type lost struct {
	from, to int64
	session  uint32
}

const spillHeader = 8 + 8 + 4 + 4 + 4 // previous part, offset, chunks, number of the target that offers them (0: delivered), session
const spillChunk = 16 + 4 + 4         // hash, CRC32C, length
const noPart = int64(-1)

// Offers are the targets of a delta backup that have said what they hold, each with the position of the index from which its offers count. What
// all of them hold alike need not be published.
type Offers map[string]uint64

// maxOffers bounds the targets whose offers are compared; with more of them everything is published.
const maxOffers = 64

// LoadPrior reads the index of the sessions before session, and the offers. It returns nil when there is neither. What a target found missing is
// left out, so that it is published again. dir is where the spill file goes ("" is the system's temporary directory).
func LoadPrior(ctx context.Context, c *pipeline.Client, backup string, session uint32, missing []messages.ChunksMissing, offers Offers, dir string) (*Prior, error) {
	if session <= 1 && len(offers) == 0 {
		return nil, nil
	}
	f, err := os.CreateTemp(dir, "polarcast-prior-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file for the index of backup %q: %w", backup, err)
	}
	_ = os.Remove(f.Name()) // the open descriptor keeps it until Close or the end of the process
	p := &Prior{spill: f, w: bufio.NewWriterSize(f, 256<<10), files: map[uint64]*priorRef{}, miss: map[uint64][]lost{},
		offers: map[string]uint32{}}
	for _, m := range missing {
		for _, r := range m.Ranges {
			if r.Path == "" { // more than could be named
				p.all = max(p.all, m.Session)
				continue
			}
			k := messages.PathKey(r.Tree, r.Path)
			p.miss[k] = append(p.miss[k], lost{r.Offset, r.Offset + r.Length, m.Session})
		}
	}
	subjects := []pipeline.Subject{pipeline.SubjectParts}
	for t := range offers {
		p.offers[t] = uint32(len(p.offers) + 1)
		subjects = append(subjects, pipeline.SubjectOffers(t))
	}
	// Offers are in the index before the first session's parts, as reading waits for them.
	err = c.IndexOf(ctx, backup, 0, false, subjects, func(seq uint64, subject pipeline.Subject, data []byte) error {
		from := uint32(0)
		if t := subject.OffersOf(); t != "" {
			if from = p.offers[t]; seq < offers[t] {
				return nil
			}
		}
		if err := p.message(data, session, from); err != nil {
			return fmt.Errorf("index of backup %q: %w", backup, err)
		}
		return nil
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

// message takes in one message of the index: what was published, or when from is not 0 what that target offers.
func (p *Prior) message(data []byte, session, from uint32) error {
	rd := messages.NewReader(data)
	var r messages.Record
	for {
		if err := rd.Next(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if r.Session >= session {
			continue
		}
		var err error
		switch r.Kind {
		case messages.KindPart:
			if from > 0 && len(p.offers) > maxOffers {
				p.ref(r.Tree, r.Path)
				continue
			}
			if p.chunks, err = r.PartChunks(p.chunks[:0]); err == nil {
				err = p.add(&r, p.chunks, from)
			}
		case messages.KindRemove:
			delete(p.files, messages.PathKey(r.Tree, r.Path))
		case messages.KindSeal:
			// The seal cut the file at this size: what earlier parts say of bytes beyond it is no longer there.
			cut := r
			cut.Offset = r.Size
			err = p.add(&cut, nil, 0)
		case messages.KindEnd:
		default:
			p.ref(r.Tree, r.Path)
		}
		if err != nil {
			return err
		}
	}
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

func (p *Prior) add(r *messages.Record, chunks []messages.PartChunk, from uint32) error {
	ref := p.ref(r.Tree, r.Path)
	b := make([]byte, spillHeader, spillHeader+len(chunks)*spillChunk)
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(ref.last))
	le.PutUint64(b[8:], uint64(r.Offset))
	le.PutUint32(b[16:], uint32(len(chunks)))
	le.PutUint32(b[20:], from)
	le.PutUint32(b[24:], r.Session)
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

// missing reports whether a target lacks something of the chunk of n bytes at off that session delivered.
func (p *Prior) missing(key uint64, off, n int64, session uint32) bool {
	if p.all > 0 && session <= p.all {
		return true
	}
	for _, m := range p.miss[key] {
		if off < m.to && m.from < off+n && session <= m.session {
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
