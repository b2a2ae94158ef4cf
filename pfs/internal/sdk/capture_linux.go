//go:build cgo

package sdk

// #include <stdlib.h>
// #include "sdk.h"
import "C"

import (
	"bufio"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"
)

var captured struct {
	sync.Mutex
	on    bool
	sink  func(Line)
	marks map[string]chan struct{}
	last  int
}

// Capture sends the lines that the library (and any other C code) prints on the C library's stderr to sink, instead of to descriptor 2,
// which stays as it is. The last sink wins; it must not call the library. Where the C library's stderr cannot be moved, nothing changes.
func Capture(sink func(Line)) error {
	captured.Lock()
	defer captured.Unlock()
	captured.sink = sink
	if captured.on {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	fd, err := syscall.Dup(int(w.Fd()))
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	syscall.CloseOnExec(fd)
	if err := errnoOf(int64(C.polarcast_pfsd_stderr(C.int(fd)))); err != nil {
		syscall.Close(fd)
		r.Close()
		return err
	}
	captured.on, captured.marks = true, map[string]chan struct{}{}
	go drain(r)
	return nil
}

// drain runs as long as the process: a full pipe would block every call that logs.
func drain(r *os.File) {
	in := bufio.NewReaderSize(r, 16<<10)
	for {
		text, err := in.ReadString('\n')
		if err != nil {
			return
		}
		text = text[:len(text)-1]
		captured.Lock()
		sink, mark := captured.sink, captured.marks[text]
		delete(captured.marks, text)
		captured.Unlock()
		if mark != nil {
			close(mark)
		} else if sink != nil {
			sink(ParseLine(text))
		}
	}
}

// Drained returns when all lines that were printed before have reached the sink.
func Drained() {
	captured.Lock()
	if !captured.on {
		captured.Unlock()
		return
	}
	captured.last++
	text := "polarcast mark " + strconv.Itoa(captured.last)
	done := make(chan struct{})
	captured.marks[text] = done
	captured.Unlock()
	p := C.CString(text)
	defer C.free(unsafe.Pointer(p))
	C.polarcast_pfsd_log(p)
	<-done
}
