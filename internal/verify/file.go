package verify

import (
	"bytes"
	"context"
	"hash"
	"io"
	"os"
	"path/filepath"

	"polarcast/internal/postgres"
)

// file compares one file with its entry, or with the entries that its path has.
func (v *verifier) file(ctx context.Context, root, path string, size int64) {
	var open []*entry
	for _, e := range v.entries[path] {
		if !e.found {
			open = append(open, e)
		}
	}
	if len(open) == 0 {
		v.problem(path, KindExtra, "\"%s\" is present on disk but not in the manifest", path)
		return
	}
	v.rep.CheckedFiles++
	var sized []*entry
	for _, e := range open {
		if e.size == size {
			sized = append(sized, e)
		}
	}
	if len(sized) == 0 {
		open[0].found = true
		v.problem(path, KindSize, "\"%s\" has size %d on disk but size %d in the manifest", path, size, open[0].size)
		return
	}
	if v.o.SkipChecksums {
		sized[0].found = true
		return
	}
	sums, err := v.sums(ctx, filepath.Join(root, path), sized)
	if err != nil {
		sized[0].found = true
		v.problem(path, KindRead, "could not read file \"%s\": %s", path, reason(err))
		return
	}
	for _, e := range sized {
		if e.algorithm == postgres.ChecksumNone || bytes.Equal(sums[e.algorithm], e.sum) {
			e.found = true
			return
		}
	}
	sized[0].found = true
	v.problem(path, KindChecksum, "checksum mismatch for file \"%s\"", path)
}

// sums reads a file once and returns its checksums of all algorithms that the entries have.
func (v *verifier) sums(ctx context.Context, name string, entries []*entry) (map[postgres.ChecksumAlgorithm][]byte, error) {
	hashes := map[postgres.ChecksumAlgorithm]hash.Hash{}
	var to []io.Writer
	for _, e := range entries {
		if e.algorithm == postgres.ChecksumNone || hashes[e.algorithm] != nil {
			continue
		}
		h := e.algorithm.New()
		hashes[e.algorithm] = h
		to = append(to, h)
	}
	out := map[postgres.ChecksumAlgorithm][]byte{}
	if len(to) == 0 {
		return out, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	w := io.MultiWriter(to...)
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		n, err := f.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return nil, werr
		}
		v.rep.CheckedBytes += int64(n)
		if v.o.Progress != nil {
			v.o.Progress(v.rep.CheckedBytes, v.rep.Bytes)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for a, h := range hashes {
		out[a] = h.Sum(nil)
	}
	return out, nil
}
