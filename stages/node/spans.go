package node

// span is a range of bytes, end exclusive.
type span struct{ from, to int64 }

// spans is a sorted set of ranges that neither overlap nor touch. Files are mostly read from front to back, so it mostly has one element.
type spans []span

// add puts a range into the set.
func (s *spans) add(from, to int64) {
	if from >= to {
		return
	}
	v := *s
	i := 0
	for i < len(v) && v[i].to < from {
		i++
	}
	j := i
	for j < len(v) && v[j].from <= to {
		from, to = min(from, v[j].from), max(to, v[j].to)
		j++
	}
	if i == j {
		v = append(v, span{})
		copy(v[i+1:], v[i:])
		v[i] = span{from, to}
	} else {
		v[i] = span{from, to}
		v = append(v[:i+1], v[j:]...)
	}
	*s = v
}

// covers reports whether all ranges of o are in s.
func (s spans) covers(o spans) bool {
	for _, r := range o.minus(s) {
		if r.from < r.to {
			return false
		}
	}
	return true
}

// minus returns what of s is not in o.
func (s spans) minus(o spans) spans {
	var out spans
	j := 0
	for _, a := range s {
		from := a.from
		for j < len(o) && o[j].to <= from {
			j++
		}
		for k := j; k < len(o) && o[k].from < a.to; k++ {
			if o[k].from > from {
				out = append(out, span{from, o[k].from})
			}
			from = max(from, o[k].to)
		}
		if from < a.to {
			out = append(out, span{from, a.to})
		}
	}
	return out
}
