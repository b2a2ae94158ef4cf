package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A server that a link was cut to has no room for another connection until it notices: what was under way waits for it.
func TestAServerWithoutRoomAfterACutLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	send, receive := w.send("crowded", "--target", "a", "-r", "4M"), w.receive("crowded", "a")
	w.until(c, "crowded", "reading", reading)
	w.link.Refuse(true)
	w.link.Cut()
	leave := takePlaces(t, w, 20, " replication=true")
	w.link.Refuse(false)
	send.WaitOutput("waiting for the server to notice that an earlier connection is gone")
	send.WaitOutput("session lost, starting another (session: 2)") // the first is the one that was cut
	leave()
	w.done(send, receive)
	w.same("crowded", "a", want)
	w.pg.NoBackupLeft()
}

// The same where the connections are ordinary ones: applications have taken those that the lost session and its readers had. A person is told that the server
// is full, also when it could not be reached before.
func TestASessionWithoutRoomAfterACutLink(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 12, "")
	want := w.pg.TableChecksums("postgres")
	c := w.client()
	send, receive := w.send("crowded", "--target", "a", "-r", "4M", "--source=files", "--read=sql"), w.receive("crowded", "a")
	w.until(c, "crowded", "reading", reading)
	w.link.Refuse(true)
	w.link.Cut()
	send.WaitOutput("waiting for the source to begin another session")
	leave := takePlaces(t, w, 60, "") // max_connections of the tests' servers
	w.link.Refuse(false)
	send.WaitOutput("sorry, too many clients already")
	leave()
	w.done(send, receive)
	w.same("crowded", "a", want)
	w.pg.NoBackupLeft()
}

// takePlaces takes all places for connections of a kind, those too that are only becoming free.
func takePlaces(t *testing.T, w *world, places int, kind string) (leave func()) {
	t.Helper()
	var conns []*pgconn.PgConn
	for end := time.Now().Add(backupEnd); len(conns) < places; {
		conn, err := pgconn.Connect(t.Context(), w.pg.ConnString()+kind)
		if err == nil {
			conns = append(conns, conn)
		} else if time.Now().After(end) {
			t.Fatal(err)
		} else {
			time.Sleep(20 * time.Millisecond)
		}
	}
	return func() {
		for _, conn := range conns {
			conn.Close(context.Background())
		}
	}
}
