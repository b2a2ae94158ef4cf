package checkpoint

import (
	"context"
	"errors"
	"os"
	"testing"

	"polarcast/messages"
	"polarcast/pipeline"
	"polarcast/stages/source"
)

// failing is a source that cannot be listed to the end.
type failing struct{ source.Reader }

var errGone = errors.New("input/output error")

func (failing) List(_ context.Context, fn func(source.Entry) error) error {
	if err := fn(source.Entry{Path: "base", Kind: source.Directory}); err != nil {
		return err
	}
	return errGone
}

// A source that cannot be listed (a disk's error, a signal while it is listed) ends the session with that error and leaves no temporary file.
func TestListingFails(t *testing.T) {
	dir := t.TempDir()
	s := &session{f: &Files{}, n: 1, src: failing{}, st: pipeline.State{Requested: &messages.Requested{}}}
	s.f.cfg.SpillDir = dir
	if l, err := s.listAll(t.Context()); !errors.Is(err, errGone) || l != nil {
		t.Errorf("a listing %v, error %v", l, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
