package work

import (
	"fmt"
	"testing"
)

func TestPlanCoversEveryByteOnceLargestFirst(t *testing.T) {
	var files []File
	for i := range 2000 {
		files = append(files, File{Path: fmt.Sprintf("base/1/%d", i), Size: int64(i%37) * 8192})
	}
	files = append(files, File{Path: "base/1/a", Size: SplitSize}, File{Path: "base/1/b", Size: 3*RangeSize + 8192}, File{Path: "base/1/c", Size: 2 * RangeSize})
	var items []*Item
	p := NewPlanner(3, false, func(it *Item) error { items = append(items, it); return nil })
	for _, f := range files {
		if err := p.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	large, err := p.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := large[0].Files[0].Path; got != "base/1/b" {
		t.Errorf("the first item is of %s, want the largest file", got)
	}
	got := map[string]int64{}
	sealed := map[string]int{}
	numbers := map[int64]bool{}
	for _, it := range append(items, large...) {
		b, err := it.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if it, err = Decode(b); err != nil {
			t.Fatal(err)
		}
		if numbers[it.Number] {
			t.Errorf("item number %d comes twice", it.Number)
		}
		numbers[it.Number] = true
		if len(b) > 512<<10 {
			t.Errorf("item of %d bytes", len(b))
		}
		if it.IsRange() {
			got[it.Files[0].Path] += it.Bytes()
			if it.Last() {
				sealed[it.Files[0].Path]++
			}
			continue
		}
		for _, f := range it.Files {
			got[f.Path] += f.Size
			sealed[f.Path]++
		}
	}
	for _, f := range files {
		if got[f.Path] != f.Size || sealed[f.Path] != 1 {
			t.Errorf("%s: %d of %d bytes are planned, sealed %d times", f.Path, got[f.Path], f.Size, sealed[f.Path])
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, s := range []string{
		`{}`, `{"session":1,"files":[]}`, `{"session":1,"files":[{"p":"../x"}]}`, `{"session":1,"files":[{"p":"/x"}]}`,
		`{"session":1,"files":[{"p":"x","s":-1}]}`, `{"session":1,"files":[{"p":"x","s":10}],"to":11}`,
		`{"session":1,"files":[{"p":"x","s":10}],"from":1,"to":10}`, `{"session":1,"files":[{"p":"x","s":10},{"p":"y"}],"to":10}`, `x`,
	} {
		if it, err := Decode([]byte(s)); err == nil {
			t.Errorf("%s was accepted as %+v", s, it)
		}
	}
}
