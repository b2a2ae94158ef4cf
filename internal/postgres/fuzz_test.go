package postgres

import (
	"context"
	"io"
	"testing"
	"time"
)

// checkBuffer makes sure that a connection has not allocated more than what the server sent justifies.
func checkBuffer(t *testing.T, c *Conn, sent int) {
	if limit := max(wireBufferSize, 4*sent); len(c.wire.buf) > limit {
		t.Errorf("buffer has %d bytes after %d received", len(c.wire.buf), sent)
	}
}

func FuzzBaseBackup(f *testing.F) {
	header := func() *script {
		return (&script{}).start(polarHeader, []any{nil, nil, "1", nil}, []any{nil, nil, nil, "1"})
	}
	f.Add(true, header().copyOut().data("nbase.tar\x00\x00").data("dx").data("p", uint64(1)).data("m").data("d{}").copyDone().end().ready().b)
	f.Add(false, header().copyOut().data("x").copyDone().copyOut().copyDone().copyOut().data("{}").copyDone().end().ready().b)
	f.Add(true, header().copyOut().data("nbase.tar\x00\x00").copyDone().end().fail("ERROR", "XX001", "checksum").ready().b)
	f.Add(true, header().notice("x").copyOut().fail("FATAL", "57P01", "terminating").b)
	f.Fuzz(func(t *testing.T, new bool, answer []byte) {
		version := "11.9"
		if new {
			version = "15.8"
		}
		c, _ := scriptConn(version, answer, 0)
		b, err := c.BaseBackup(context.Background(), "BASE_BACKUP")
		if err == nil {
			total, items := 0, 0
			for {
				var it Item
				if it, err = b.Next(); err != nil {
					break
				}
				total += len(it.Data)
				if items++; items > 2*len(answer)+2 {
					t.Fatal("more items than bytes")
				}
			}
			if total > len(answer) {
				t.Fatalf("%d bytes of data from %d", total, len(answer))
			}
			if err == io.EOF {
				if end, _, err := b.Finish(); err == nil && end == 0 && len(answer) == 0 {
					t.Fatal("a backup of nothing")
				}
			} else if _, _, again := b.Finish(); again == nil {
				t.Fatal("Finish after an error")
			}
		}
		checkBuffer(t, c, len(answer))
	})
}

func FuzzWALStream(f *testing.F) {
	begin := func() *script { return (&script{}).msg('W', []byte{0, 0, 0}) }
	f.Add(begin().data(wal(1, 2, "abc")...).data("k", uint64(1), uint64(2), byte(1)).copyDone().
		columns("a", "b").row("2", "0/1").complete("SELECT").complete("X").ready().b)
	f.Add((&script{}).columns("a", "b").row("2", "0/1").complete("SELECT").ready().b)
	f.Add(begin().complete("COPY 0").b)
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, _ := scriptConn("15.1", answer, 0)
		ws, err := c.StartReplication(context.Background(), "", 1, 1)
		total, messages := 0, 0
		for err == nil {
			var m WALMessage
			m, err = ws.Receive(time.Time{})
			total += len(m.Data)
			if messages++; messages > len(answer)+2 {
				t.Fatal("more messages than bytes")
			}
		}
		if total > len(answer) {
			t.Fatalf("%d bytes of WAL from %d", total, len(answer))
		}
		if ws != nil {
			ws.Stop(context.Background())
		}
		checkBuffer(t, c, len(answer))
	})
}

func FuzzTarReader(f *testing.F) {
	f.Add(append(append(pgHeader("a", "", '0', 3), padded("abc")...), make([]byte, 1024)...), 7)
	f.Add(append(append(pgHeader("pax", "", 'x', 12), padded("12 path=ab/c\n")...), pgHeader("a/", "", '5', 0)...), 512)
	f.Add(append(append(pgHeader("long", "", 'L', 5), padded("../a\x00")...), pgHeader("a", "b", '2', 0)...), 1)
	f.Fuzz(func(t *testing.T, archive []byte, step int) {
		if len(archive) >= 512 && step&1 == 0 { // give most inputs a right checksum, or nothing else is reached
			for at := 0; at+512 <= len(archive); at += 512 {
				setSum(archive[at:])
			}
		}
		if step = step & 1023; step == 0 {
			step = 1
		}
		whole, err1 := feed(archive, 0)
		parts, err2 := feed(archive, step)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("as a whole: %v, in steps of %d: %v", err1, step, err2)
		}
		if err1 == nil && len(whole.events) != len(parts.events) {
			t.Fatalf("as a whole: %q, in steps of %d: %q", whole.events, step, parts.events)
		}
	})
}

func FuzzConnString(f *testing.F) {
	f.Add("host=a port=1 user='b c' password=\\'x")
	f.Add("postgresql://u:p%40@[::1]:5433,h2/db?sslmode=require&application_name=x")
	f.Fuzz(func(t *testing.T, s string) {
		set, err := parseConnString(s)
		if err != nil {
			return
		}
		text := ""
		for k, v := range set {
			text += k + "=" + quoteConnValue(v) + " "
		}
		again, err := parseConnString(text)
		if err != nil || len(again) != len(set) {
			t.Fatalf("%q is written as %q, which reads as %v, %v", s, text, again, err)
		}
		for k, v := range set {
			if again[k] != v {
				t.Fatalf("%s: %q became %q", k, v, again[k])
			}
		}
	})
}
