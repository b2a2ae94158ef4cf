package messages

import "hash/maphash"

// Failed attempts are the most expensive thing that a compressor does: lz4 spends 3.7 CPU-seconds on a gigabyte that it then gives up. So a
// file whose chunks did not shrink is left alone for some chunks, then two small samples of a chunk are tried, and only when they shrink the
// chunk is. The pause doubles with every failure up to maxPause chunks and ends with the first success.

const (
	// sampleSize is the length of one sample, in bytes: half a page, so that it holds tuples or line pointers with them.
	sampleSize = 4 << 10
	// sampleChunk is the chunk length, in bytes, from which on a sample is clearly cheaper than the attempt.
	sampleChunk = 8 * sampleSize
	// maxPause is how many chunks are left uncompressed at most before the next sample.
	maxPause = 16
)

// attempts remembers the files that did not shrink lately: a small direct-mapped table, so that it does not grow with the number of files.
type attempts struct {
	seed  maphash.Seed
	ready bool
	files [64]fileAttempts
}

// fileAttempts is what is known of one file.
type fileAttempts struct {
	path  string
	pause uint8 // chunks to go before the next try
	last  uint8 // length of the last pause; 0: the last attempt was a success, or there was none
}

type attemptKind int

const (
	attemptChunk  attemptKind = iota // compress the chunk
	attemptSample                    // compress it if samples of it shrink
	attemptNone                      // leave it
)

// of returns the file's entry, a new one in the place of an older file when there is none.
func (a *attempts) of(path string) *fileAttempts {
	if !a.ready {
		a.seed, a.ready = maphash.MakeSeed(), true
	}
	f := &a.files[maphash.String(a.seed, path)%uint64(len(a.files))]
	if f.path != path {
		*f = fileAttempts{path: path}
	}
	return f
}

// next says what to do with the file's next chunk.
func (f *fileAttempts) next() attemptKind {
	switch {
	case f.pause > 0:
		f.pause--
		return attemptNone
	case f.last > 0:
		return attemptSample
	}
	return attemptChunk
}

// learn takes the result of an attempt or a sample.
func (f *fileAttempts) learn(ok bool) {
	if ok {
		f.pause, f.last = 0, 0
		return
	}
	f.last = min(max(2*f.last, 1), maxPause)
	f.pause = f.last
}

// sample tries a piece of each half of a chunk and says whether one of them shrinks.
func (c *Compressor) sample(raw []byte) bool {
	for _, at := range [2]int{len(raw) / 4, len(raw) * 3 / 4} {
		if c.compress(c.scratch[:], raw[at:at+sampleSize]) > 0 {
			return true
		}
	}
	return false
}
