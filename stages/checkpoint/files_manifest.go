package checkpoint

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"polarcast/internal/postgres"
	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/work"
)

// contents is what a backup holds, folded from the index: for each file the checksum that the manifest wants. Whole files are spilled; memory
// holds some 40 bytes for each.
type contents struct {
	wanted    bool
	algorithm postgres.ChecksumAlgorithm
	spill     *os.File
	w         *bufio.Writer
	size      int64
	final     map[uint64]int64 // where the valid entry of a file is
	open      map[uint64]*parts

	session       uint32 // whose bytes are counted
	files         int64
	bytes, chunks int64
	same, kept    int64
	scratch       []messages.PartChunk
}

// parts is a file that is not whole yet.
type parts struct {
	session uint32
	seal    *messages.Record
	chunks  map[int64]piece
}

type piece struct{ crc, n uint32 }

// collect folds the index of the sessions from first to last.
func (s *session) collect(ctx context.Context, first, last uint32) (*contents, error) {
	alg, wanted, err := work.Algorithm(s.st.Requested.Options)
	if err != nil {
		return nil, err
	}
	c := &contents{wanted: wanted, algorithm: alg, final: map[uint64]int64{}, open: map[uint64]*parts{}, session: s.n}
	if c.spill, err = s.temp("manifest"); err != nil {
		return nil, err
	}
	c.w = bufio.NewWriterSize(c.spill, 256<<10)
	err = s.f.cfg.Client.Index(ctx, s.f.cfg.Backup, 0, false, nil, func(_ uint64, _ pipeline.Subject, data []byte) error {
		rd := messages.NewReader(data)
		var r messages.Record
		for {
			if err := rd.Next(&r); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return fmt.Errorf("index of backup %q: %w", s.f.cfg.Backup, err)
			}
			if r.Session < first || r.Session > last || r.Tree == messages.TreeWAL {
				continue
			}
			if err := c.record(&r); err != nil {
				return err
			}
		}
	})
	if err == nil {
		err = c.w.Flush()
	}
	if err == nil && last == s.n {
		err = c.whole()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.files = int64(len(c.final))
	return c, nil
}

// temp makes a temporary file, which goes with its descriptor.
func (s *session) temp(what string) (*os.File, error) {
	f, err := os.CreateTemp(s.f.cfg.SpillDir, "polarcast-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a temporary file for the %s: %w", what, err)
	}
	_ = os.Remove(f.Name()) // the open descriptor keeps it
	return f, nil
}

// whole returns an error when a file lacks parts or its seal. A reader that was believed dead, and whose item was read by another one, may have
// published parts of a file that was whole already: those are of the same session and as good as the others.
func (c *contents) whole() error {
	for key, p := range c.open {
		if _, ok := c.final[key]; ok && p.seal == nil {
			continue
		}
		return fmt.Errorf("%d files of the backup are not whole in the index, though all work is acknowledged: start the backup again", len(c.open))
	}
	return nil
}

// record folds one record.
func (c *contents) record(r *messages.Record) error {
	key := messages.PathKey(r.Tree, r.Path)
	switch r.Kind {
	case messages.KindRemove:
		delete(c.open, key)
		delete(c.final, key)
		return nil
	case messages.KindPart, messages.KindSeal:
	default:
		return nil
	}
	p := c.open[key]
	if p == nil || p.session < r.Session {
		p = &parts{session: r.Session, chunks: map[int64]piece{}}
		c.open[key] = p
	}
	if r.Kind == messages.KindSeal {
		seal := *r
		seal.Payload = append([]byte(nil), r.Payload...)
		p.seal = &seal
	} else if err := c.part(p, r); err != nil {
		return err
	}
	return c.settle(key, p)
}

func (c *contents) part(p *parts, r *messages.Record) (err error) {
	if c.scratch, err = r.PartChunks(c.scratch[:0]); err != nil {
		return err
	}
	off := r.Offset
	for i := range c.scratch {
		k := &c.scratch[i]
		p.chunks[off] = piece{k.CRC, k.Len}
		off += int64(k.Len)
		switch {
		case r.Session != c.session:
		case k.Kept:
			c.kept += int64(k.Len)
		default:
			c.chunks++
			c.bytes += int64(k.Len)
			if !k.Published {
				c.same += int64(k.Len)
			}
		}
	}
	return nil
}

// settle computes the checksum of a file whose seal and parts are all there. Parts may come after the seal, from other readers.
func (c *contents) settle(key uint64, p *parts) error {
	if p.seal == nil {
		return nil
	}
	var crc uint32
	off := int64(0)
	for off < p.seal.Offset {
		k, ok := p.chunks[off]
		if !ok || k.n == 0 {
			return nil
		}
		crc = messages.CombineCRC32C(crc, k.crc, int64(k.n))
		off += int64(k.n)
	}
	delete(c.open, key)
	return c.add(key, p.seal, crc)
}

// add spills the entry of a whole file.
func (c *contents) add(key uint64, seal *messages.Record, crc uint32) error {
	sum := seal.Payload
	switch {
	case c.algorithm == postgres.ChecksumNone:
		sum = nil
	case c.algorithm == postgres.ChecksumCRC32C:
		sum = postgres.ManifestCRC32C(crc)
	case len(sum) != c.algorithm.Size():
		return fmt.Errorf("the seal of file %q holds no %s checksum: start the backup again", seal.Path, c.algorithm)
	}
	le := binary.LittleEndian
	b := le.AppendUint64(nil, key)
	b = le.AppendUint64(b, uint64(seal.Size))
	b = le.AppendUint64(b, uint64(seal.MTime))
	b = append(b, byte(seal.Tree), byte(len(sum)))
	b = le.AppendUint16(b, uint16(len(seal.Path)))
	b = append(b, sum...)
	b = append(b, seal.Path...)
	c.final[key] = c.size
	c.size += int64(len(b))
	if _, err := c.w.Write(b); err != nil {
		return fmt.Errorf("cannot write a temporary file for the manifest: %w", err)
	}
	return nil
}

const entryHeader = 8 + 8 + 8 + 1 + 1 + 2

// write writes the manifest of one tree.
func (c *contents) write(w io.Writer, tree messages.Tree, st pipeline.State, ranges []postgres.ManifestWALRange) (files int64, err error) {
	var id uint64
	if _, err := fmt.Sscan(st.Prepared.SystemID, &id); err != nil {
		return 0, fmt.Errorf("system identifier %q: %w", st.Prepared.SystemID, err)
	}
	m, err := postgres.NewManifestWriter(w, postgres.ManifestOptions{Version: max(postgres.ManifestVersion(st.Prepared.ServerVersion), 1), SystemID: id,
		ForceEncode: st.Requested.Options.Manifest == "force-encode"})
	if err != nil {
		return 0, err
	}
	rd := bufio.NewReaderSize(io.NewSectionReader(c.spill, 0, c.size), 256<<10)
	le := binary.LittleEndian
	for at := int64(0); at < c.size; {
		var h [entryHeader]byte
		if _, err := io.ReadFull(rd, h[:]); err != nil {
			return files, err
		}
		rest := make([]byte, int(h[25])+int(le.Uint16(h[26:])))
		if _, err := io.ReadFull(rd, rest); err != nil {
			return files, err
		}
		pos, ok := c.final[le.Uint64(h[0:])]
		valid := ok && pos == at
		at += entryHeader + int64(len(rest))
		if !valid || messages.Tree(h[24]) != tree {
			continue
		}
		f := postgres.ManifestFile{Path: string(rest[h[25]:]), Size: int64(le.Uint64(h[8:])), LastModified: time.Unix(int64(le.Uint64(h[16:])), 0),
			Algorithm: c.algorithm, Checksum: rest[:h[25]:h[25]]}
		if err := m.AddFile(f); err != nil {
			return files, err
		}
		files++
	}
	return files, m.Close(ranges)
}

func (c *contents) close() {
	if c.spill != nil {
		c.spill.Close()
		c.spill = nil
	}
}
