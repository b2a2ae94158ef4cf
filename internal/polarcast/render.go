package polarcast

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Render writes a status for people.
func (s *Status) Render(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "backup %s: %s", s.Backup, s.State)
	if s.Error != "" {
		fmt.Fprintf(&b, " (%s)", s.Error)
	}
	fmt.Fprintf(&b, "\n  requested  %s, label \"%s\"\n", s.RequestedAt.Local().Format(time.DateTime), s.Label)
	if s.SystemID != "" {
		fmt.Fprintf(&b, "  source     version %s, system identifier %s, timeline %d, by %s\n", s.ServerVersion, s.SystemID, s.Timeline, s.Source)
	}
	if s.Session > 0 {
		fmt.Fprintf(&b, "  read       %s of %s%s, session %d from %s", FormatSize(float64(s.ReadBytes+s.KeptBytes)), FormatSize(float64(s.TotalBytes)), percent(s.ReadPercent),
			s.Session, s.StartLSN)
		if s.ReadRate > 0 {
			fmt.Fprintf(&b, ", %s", FormatRate(s.ReadRate))
		}
		b.WriteString("\n")
		fmt.Fprintf(&b, "  sent       %s", FormatSize(float64(s.SentBytes)))
		if n := s.UnchangedBytes + s.KeptBytes; n > 0 {
			fmt.Fprintf(&b, ", %s were delivered before", FormatSize(float64(n)))
		}
		b.WriteString("\n")
	}
	if s.WAL.LSN != "" {
		fmt.Fprintf(&b, "  WAL        up to %s", s.WAL.LSN)
		if s.WAL.Captured {
			b.WriteString(", all that is needed")
		}
		b.WriteString("\n")
	}
	if s.Stream != nil {
		fmt.Fprintf(&b, "  buffer     %s of %s\n", FormatSize(float64(s.Stream.Bytes)), FormatSize(float64(s.Stream.MaxBytes)))
	}
	for _, t := range slices.Sorted(maps.Keys(s.Limits)) {
		if n := s.Limits[t]; n > 0 {
			fmt.Fprintf(&b, "  limit      %s %s\n", orSource(t), FormatRate(float64(n)))
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if err := s.renderStages(w); err != nil {
		return err
	}
	return s.renderTargets(w)
}

func (s *Status) renderStages(w io.Writer) error {
	if len(s.Stages) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nSTAGE\tTARGET\tHOST\tPID\tRATE\tWAITS FOR")
	for _, g := range s.Stages {
		if len(g.Instances) == 0 {
			fmt.Fprintf(t, "%s\t\t\t\t\t%s\n", g.Stage, g.Waiting)
		}
		for _, i := range g.Instances {
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", g.Stage, i.Target, i.Host, i.PID, FormatRate(i.Rate), i.Waiting)
		}
	}
	return t.Flush()
}

func (s *Status) renderTargets(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nTARGET\tSTATE\tDONE\tBEHIND\tRATE\tETA\tWAL\tWHERE\tWAITS FOR")
	for _, g := range s.Targets {
		where := ""
		if g.Host != "" {
			where = g.Host + ":" + g.Directory
		}
		eta := ""
		if g.ETASeconds != nil {
			eta = (time.Duration(*g.ETASeconds) * time.Second).String()
		}
		waiting := g.Waiting
		if g.Error != "" {
			waiting = g.Error
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Target, g.State, strings.Trim(percent(g.Percent), " ()"), FormatSize(float64(g.LagBytes)),
			FormatRate(g.Rate), eta, g.WALLSN, where, waiting)
	}
	return t.Flush()
}

func percent(p *float64) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf(" (%.1f%%)", *p)
}

func orSource(target string) string {
	if target == "" {
		return "source"
	}
	return "target " + target
}

// RenderList writes summaries for people.
func RenderList(w io.Writer, all []Summary) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "BACKUP\tSTATE\tREQUESTED\tLAST EVENT\tTARGETS\tREADY\tLABEL")
	for _, s := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\n", s.Backup, s.State, s.RequestedAt.Local().Format(time.DateTime),
			s.UpdatedAt.Local().Format(time.DateTime), strings.Join(s.Targets, ","), len(s.Ready), len(s.Targets), s.Label)
	}
	return t.Flush()
}
