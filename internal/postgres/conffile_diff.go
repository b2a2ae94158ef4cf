package postgres

import (
	"bytes"
	"fmt"
	"strings"
)

// UnifiedDiff shows how oldText became newText as "diff -u" does, with three lines of context. It is empty when nothing changed. It is meant
// for configuration files: where more than diffCells line pairs would have to be compared the changed middle is shown as one replacement.
func UnifiedDiff(oldName, newName string, oldText, newText []byte) string {
	if bytes.Equal(oldText, newText) {
		return ""
	}
	ops := diffLines(splitLines(oldText), splitLines(newText))
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", oldName, newName)
	for start := 0; start < len(ops); {
		if ops[start].kind == ' ' {
			start++
			continue
		}
		from, to := max(0, start-diffContext), start
		for same := 0; to < len(ops) && same <= 2*diffContext; to++ {
			if ops[to].kind == ' ' {
				same++
			} else {
				same = 0
			}
		}
		end := to
		for end > start && ops[end-1].kind == ' ' {
			end--
		}
		to = min(end+diffContext, len(ops))
		writeHunk(&b, ops, from, to)
		start = to
	}
	return b.String()
}

const (
	diffContext = 3
	diffCells   = 4 << 20
)

type diffOp struct {
	kind byte // ' ', '-', '+'
	line string
}

func writeHunk(b *strings.Builder, ops []diffOp, from, to int) {
	oldStart, newStart, oldLen, newLen := 1, 1, 0, 0
	for _, op := range ops[:from] {
		if op.kind != '+' {
			oldStart++
		}
		if op.kind != '-' {
			newStart++
		}
	}
	for _, op := range ops[from:to] {
		if op.kind != '+' {
			oldLen++
		}
		if op.kind != '-' {
			newLen++
		}
	}
	fmt.Fprintf(b, "@@ -%s +%s @@\n", hunkRange(oldStart, oldLen), hunkRange(newStart, newLen))
	for _, op := range ops[from:to] {
		b.WriteByte(op.kind)
		b.WriteString(op.line)
		if !strings.HasSuffix(op.line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// hunkRange follows diff: an empty range names the line before it, a range of one line has no length.
func hunkRange(start, n int) string {
	switch n {
	case 0:
		return fmt.Sprintf("%d,0", start-1)
	case 1:
		return fmt.Sprint(start)
	}
	return fmt.Sprintf("%d,%d", start, n)
}

// diffLines takes equal lines off both ends and finds a longest common subsequence of what is left.
func diffLines(a, b []string) []diffOp {
	var head, tail []diffOp
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, diffOp{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, diffOp{' ', a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	ops := append(head, diffMiddle(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		ops = append(ops, tail[i])
	}
	return ops
}

func diffMiddle(a, b []string) []diffOp {
	var ops []diffOp
	if len(a)*len(b) <= diffCells {
		w := len(b) + 1
		common := make([]int32, (len(a)+1)*w)
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i*w+j] = common[(i+1)*w+j+1] + 1
				} else {
					common[i*w+j] = max(common[(i+1)*w+j], common[i*w+j+1])
				}
			}
		}
		i, j := 0, 0
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				ops = append(ops, diffOp{' ', a[i]})
				i++
				j++
			case common[(i+1)*w+j] >= common[i*w+j+1]:
				ops = append(ops, diffOp{'-', a[i]})
				i++
			default:
				ops = append(ops, diffOp{'+', b[j]})
				j++
			}
		}
		a, b = a[i:], b[j:]
	}
	for _, l := range a {
		ops = append(ops, diffOp{'-', l})
	}
	for _, l := range b {
		ops = append(ops, diffOp{'+', l})
	}
	return ops
}

func splitLines(text []byte) []string {
	lines := strings.SplitAfter(string(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
