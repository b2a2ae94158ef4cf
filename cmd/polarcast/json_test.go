package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"polarcast/internal/polarcast"
	"polarcast/internal/verify"
)

func TestEveryFieldIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || !strings.HasPrefix(typ.PkgPath(), "polarcast/") {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			want := "`" + name + "`"
			if options == "omitempty" {
				want += "?"
			}
			if name == "" || !strings.Contains(doc, want) {
				t.Errorf("%s.%s: %s is not in docs/json.md", typ.Name(), f.Name, want)
			}
			look(f.Type)
		}
	}
	for _, v := range []any{polarcast.Status{}, polarcast.Summary{}, verify.Report{}} {
		look(reflect.TypeOf(v))
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	for _, c := range commands() {
		var out, errs strings.Builder
		if code := run(append([]string{"polarcast"}, append(strings.Fields(c.name), "--help")...), &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("%s --help ended with %d: %s", c.name, code, errs.String())
		}
		for _, part := range []string{"polarcast " + c.name, "Exit status is 0", "--config"} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s --help has no %q", c.name, part)
			}
		}
		if strings.Contains(out.String(), "=true|false") {
			t.Errorf("%s --help shows values of options that take none", c.name)
		}
		for _, o := range []string{"--pgdata", "--target"} {
			if c.name == "receive" && !strings.Contains(out.String(), o) {
				t.Errorf("%s --help has no %s", c.name, o)
			}
		}
	}
}
