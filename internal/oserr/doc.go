// Package oserr words errors of the operating system for people, as PostgreSQL's programs do with %m: "No space left on device". The message
// around it names the file, so the operation and the path that Go adds are dropped.
package oserr
