package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ServerError is an ErrorResponse of the server. Its text has libpq's default form: "ERROR:  message", then DETAIL, HINT and CONTEXT lines.
type ServerError struct {
	Severity string // as the server's language has it
	Code     string // SQLSTATE, five characters
	Message  string
	Detail   string
	Hint     string
	Where    string
}

func (e *ServerError) Error() string {
	var b strings.Builder
	b.WriteString(e.Severity + ":  " + e.Message)
	for _, part := range []struct{ name, text string }{{"DETAIL", e.Detail}, {"HINT", e.Hint}, {"CONTEXT", e.Where}} {
		if part.text != "" {
			b.WriteString("\n" + part.name + ":  " + part.text)
		}
	}
	return b.String()
}

// SQLState gives the SQLSTATE of the server's error inside err, whether it came over a Conn or over ConnectSQL's connection; "" when there is none.
func SQLState(err error) string {
	var se *ServerError
	if errors.As(err, &se) {
		return se.Code
	}
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// parseServerError reads the body of an ErrorResponse or NoticeResponse: fields of a type byte and a zero-terminated string.
func parseServerError(body []byte) *ServerError {
	e := &ServerError{}
	for len(body) > 1 && body[0] != 0 {
		field := body[0]
		value, rest, ok := cutString(body[1:])
		if !ok {
			break
		}
		body = rest
		switch field {
		case 'S':
			e.Severity = value
		case 'C':
			e.Code = value
		case 'M':
			e.Message = value
		case 'D':
			e.Detail = value
		case 'H':
			e.Hint = value
		case 'W':
			e.Where = value
		}
	}
	if e.Severity == "" {
		e.Severity = "ERROR"
	}
	if e.Message == "" {
		e.Message = "missing error text"
	}
	return e
}

func fromPgError(e *pgconn.PgError) *ServerError {
	return &ServerError{Severity: e.Severity, Code: e.Code, Message: e.Message, Detail: e.Detail, Hint: e.Hint, Where: e.Where}
}

// cutString takes a zero-terminated string off b; ok is false when there is no terminator.
func cutString(b []byte) (s string, rest []byte, ok bool) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), b[i+1:], true
		}
	}
	return "", b, false
}
