package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"polarcast/internal/cli/basebackup"
	"polarcast/internal/polarcast"
)

// source reads where the server is.
func (a *app) source(o *basebackup.Options) (*polarcast.Source, error) {
	return polarcast.NewSource(polarcast.SourceOptions{Options: o, AppName: "polarcast", Prompt: prompt,
		OnNotice: func(severity, message, detail, hint, _ string) { a.m.Notice(severity, message, detail, hint) }})
}

// prompt asks for a password without echo, on the terminal even when input and output lead elsewhere.
func prompt(text string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errors.New("could not read a password: there is no terminal; use a password file, or -w")
	}
	defer tty.Close()
	fmt.Fprint(tty, text)
	defer fmt.Fprintln(tty)
	b, err := term.ReadPassword(int(tty.Fd()))
	return string(b), err
}
