package postgres

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ItemKind says what an Item is.
type ItemKind uint8

// The items of a base backup, in this order: for each archive ItemArchive, ItemData…, ItemArchiveEnd; then, if asked for, ItemManifest,
// ItemManifestData…, ItemArchiveEnd. ItemProgress comes in between.
const (
	ItemArchive      ItemKind = iota + 1 // an archive begins: Name, Tablespace
	ItemData                             // bytes of the archive: Data
	ItemArchiveEnd                       // no more data of the archive, or of the manifest
	ItemProgress                         // the server's progress: Bytes
	ItemManifest                         // the manifest begins
	ItemManifestData                     // bytes of the manifest: Data
)

// Item is a piece of a base backup.
type Item struct {
	Kind ItemKind
	// Name of the archive, as in "base.tar", "16384.tar.gz"; PolarDB's shared directory is "data.tar". Servers before 15 send no names: there it
	// is made up in the same way.
	Name       string
	Tablespace *Tablespace // the archive's; nil when the server names an archive that its header did not list
	Data       []byte      // valid until the next call of Next
	Bytes      int64       // of archives, done so far
}

// Next gives the next piece of the backup; io.EOF when all was read. Any other error ends the backup.
func (b *BaseBackup) Next() (Item, error) {
	if b.err != nil {
		return Item{}, b.err
	}
	if b.done {
		return Item{}, io.EOF
	}
	item, err := b.next()
	if err != nil && err != io.EOF {
		b.err = b.stop(err)
		return Item{}, b.err
	}
	return item, err
}

func (b *BaseBackup) next() (Item, error) {
	for {
		if b.inData {
			p, err := b.c.wire.piece()
			if err != nil {
				return Item{}, b.readError(err)
			}
			if len(p) > 0 {
				return Item{Kind: b.kind, Data: p}, nil
			}
			b.inData = false
		}
		if b.pending != 0 {
			kind := b.pending
			b.pending = 0
			return b.begin(kind)
		}
		typ, _, err := b.c.next()
		if err != nil {
			return Item{}, b.readError(err)
		}
		item, ready, err := b.message(typ)
		if err != nil || ready {
			return item, err
		}
	}
}

func (b *BaseBackup) readError(err error) error {
	return fmt.Errorf("could not read from the base backup: %w", b.c.fail(err))
}

// message deals with a message; ready says that item is to be handed out.
func (b *BaseBackup) message(typ byte) (item Item, ready bool, err error) {
	switch {
	case typ == 'E':
		err := b.c.serverError()
		b.c.sync()
		b.c.busy = ""
		return Item{}, false, fmt.Errorf("could not read COPY data: %w", err)
	case typ == 'H' && !b.inCopy && !(b.single && b.copies > 0):
		return b.copyOut()
	case typ == 'd' && b.inCopy:
		if !b.single {
			b.inData = true
			return Item{}, false, nil
		}
		return b.copyData()
	case typ == 'c' && b.inCopy:
		b.inCopy = false
		return b.endArchive()
	case typ == 'T' && !b.inCopy && (b.copies >= len(b.Tablespaces) || b.single && b.copies > 0):
		b.done = true
		return Item{}, false, io.EOF
	case typ == 'C' && !b.inCopy: // of the header
		return Item{}, false, nil
	}
	return Item{}, false, b.readError(protocolErrorf("message of type %q in a base backup", typ))
}

// endArchive closes the open archive, if there is one.
func (b *BaseBackup) endArchive() (Item, bool, error) {
	if !b.archive {
		return Item{}, false, nil
	}
	b.archive = false
	return Item{Kind: ItemArchiveEnd}, true, nil
}

// copyOut begins a copy. Before 15 each is an archive, in the order of the header, and one more is the manifest.
func (b *BaseBackup) copyOut() (Item, bool, error) {
	b.inCopy = true
	b.copies++
	if b.single {
		return Item{}, false, nil
	}
	if b.copies > len(b.Tablespaces)+1 {
		return Item{}, false, b.readError(protocolErrorf("more archives than tablespaces"))
	}
	if b.copies == len(b.Tablespaces)+1 {
		b.kind, b.archive = ItemManifestData, true
		return Item{Kind: ItemManifest}, true, nil
	}
	t := &b.Tablespaces[b.copies-1]
	name := "base.tar"
	switch {
	case t.Shared:
		name = "data.tar"
	case t.OID != 0:
		name = strconv.FormatUint(uint64(t.OID), 10) + ".tar"
	}
	b.kind, b.archive = ItemData, true
	return Item{Kind: ItemArchive, Name: name, Tablespace: t}, true, nil
}

// copyData reads the type of a message of the single copy of 15 and later (bbsink_copystream).
func (b *BaseBackup) copyData() (Item, bool, error) {
	w := b.c.wire
	kind, err := w.take(1)
	if err != nil {
		return Item{}, false, b.readError(err)
	}
	switch kind[0] {
	case 'd':
		if b.kind == 0 {
			return Item{}, false, b.readError(protocolErrorf("data before the first archive"))
		}
		b.inData = true
		return Item{}, false, nil
	case 'p':
		p, err := w.body()
		if err != nil || len(p) != 8 {
			return Item{}, false, b.readError(protocolErrorf("progress report of %d bytes", len(p)))
		}
		return Item{Kind: ItemProgress, Bytes: int64(binary.BigEndian.Uint64(p))}, true, nil
	case 'n', 'm':
		if b.archive { // say the end of the archive first, and come back to this message
			b.pending = kind[0]
			return b.endArchive()
		}
		item, err := b.begin(kind[0])
		return item, true, err
	}
	return Item{}, false, b.readError(protocolErrorf("message of type %q inside the copy", kind[0]))
}

// begin begins the manifest or the next archive.
func (b *BaseBackup) begin(kind byte) (Item, error) {
	if b.kind == ItemManifestData {
		return Item{}, b.readError(protocolErrorf("message of type %q after the manifest", kind))
	}
	if kind == 'm' {
		b.kind, b.archive = ItemManifestData, true
		return Item{Kind: ItemManifest}, nil
	}
	item, err := b.named()
	if err != nil {
		return Item{}, b.readError(err)
	}
	return item, nil
}

// maxArchiveMessage bounds a message that announces an archive: its name and the location of a tablespace, each MAXPGPATH at most.
const maxArchiveMessage = 16 << 10

// named begins the archive that the server names.
func (b *BaseBackup) named() (Item, error) {
	if b.c.wire.left > maxArchiveMessage {
		return Item{}, protocolErrorf("archive name of %d bytes", b.c.wire.left)
	}
	p, err := b.c.wire.body()
	if err != nil {
		return Item{}, err
	}
	name, rest, ok := cutString(p)
	location, _, ok2 := cutString(rest)
	if !ok || !ok2 {
		return Item{}, protocolErrorf("malformed announcement of an archive")
	}
	if name == "" || name[0] == '.' || strings.ContainsAny(name, `/\`) { // as pg_basebackup: it becomes a file name
		return Item{}, fmt.Errorf("invalid archive name: %q", name)
	}
	b.kind, b.archive = ItemData, true
	return Item{Kind: ItemArchive, Name: name, Tablespace: b.tablespaceOf(name, location)}, nil
}

// tablespaceOf finds the row of the header for an archive: "<oid>.tar…", "base.tar…", PolarDB's "data.tar…".
func (b *BaseBackup) tablespaceOf(name, location string) *Tablespace {
	stem, _, _ := strings.Cut(name, ".")
	for i := range b.Tablespaces {
		t := &b.Tablespaces[i]
		switch {
		case t.OID != 0:
			if stem == strconv.FormatUint(uint64(t.OID), 10) {
				return t
			}
		case t.Shared:
			if stem == "data" && location == "" {
				return t
			}
		case stem == "base" && location == "":
			return t
		}
	}
	return nil
}
