package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"
)

// prompt asks for a password without echo, on the terminal even when input and output lead elsewhere, as simple_prompt() does.
func prompt(text string) (string, error) {
	in, out := os.Stdin, os.Stderr
	if tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0); err == nil {
		defer tty.Close()
		in, out = tty, tty
	}
	fmt.Fprint(out, text)
	defer fmt.Fprintln(out)
	if !term.IsTerminal(int(in.Fd())) {
		var line string
		if _, err := fmt.Fscanln(in, &line); err != nil {
			return "", errors.New("could not read a password: there is no terminal; use a password file, or -w")
		}
		return line, nil
	}
	b, err := term.ReadPassword(int(in.Fd()))
	return string(b), err
}
