package sdk

import "strings"

// Line is one line of the library's log.
type Line struct {
	Level   string // "INF", "ERR", or empty for a line that is not the library's
	Message string // without time and process number
}

// ParseLine takes apart what PFSD_CLIENT_LOG and PFSD_CLIENT_ELOG print (pfsd_common.h):
//
//	[PFSD_SDK INF Nov 22 11:32:11.699621][4711]pfsd_mkdir 1320: mkdir /disk/a
func ParseLine(text string) Line {
	rest, ok := strings.CutPrefix(text, "[PFSD_SDK ")
	head, rest, ok2 := strings.Cut(rest, "][")
	_, message, ok3 := strings.Cut(rest, "]")
	if !ok || !ok2 || !ok3 || len(head) < 3 {
		return Line{Message: text}
	}
	return Line{Level: head[:3], Message: message}
}
