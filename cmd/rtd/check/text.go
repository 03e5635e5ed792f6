package check

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Write writes the report for people.
func (r *Report) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(key, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", key, fmt.Sprintf(format, args...)) }
	line("plugin", "%s, %s", r.Name, size(float64(r.Size)))
	if m := r.Manifest; m != nil {
		line("manifest", "%s %s, for %s, topics %s", m.Name, m.Version, m.ABI, orNone(m.Topics))
		line("asks for", "%s", orNone(asks(r)))
	} else {
		line("manifest", "none: it was not built with rtd build, and asks for what it declares")
	}
	line("imports", "%s", wrapped(r.Imports))
	line("exports", "%s", wrapped(r.Exports))
	switch {
	case r.Refused != "":
		line("refused", "%s", strings.ReplaceAll(r.Refused, "\n", "\n\t"))
		if r.Lines != nil {
			if r.MayNot != nil {
				line("may not use", "%s", strings.Join(r.MayNot, ", "))
			}
			line("to grant that", "%s", strings.Join(r.Lines, "\n\t"))
		}
		return w.Flush()
	case r.Waits != nil:
		line("waits for", "%s: it was not started", strings.Join(r.Waits, ", "))
		return w.Flush()
	}
	line("topics", "%s", orNone(r.Topics))
	for _, mount := range r.Connects {
		line("is asked", "who may connect to the mount %s; beside other plugins config.toml has to say so: connect = %q in [socket.%s]", mount, r.Name, mount)
	}
	line("snapshot", "%s of memory after start, shared by all its actors", size(float64(r.Snapshot)))
	line("start", "%.0f ms to compile, %.1f ms to start", r.Compile*1000, r.Start*1000)
	if r.Hibernates {
		line("hibernates", "yes")
	} else {
		line("hibernates", "no, every actor stays in memory: %s", r.Pinned)
	}
	switch i := r.Idle; {
	case i == nil:
	case !i.Joined:
		line("idle actor", "not known: to join %s is answered %s; say how with --topic and --join", i.Topic, i.Answer)
	case r.Hibernates:
		line("idle actor", "%s of memory kept after joining %s, mean of %d", size(i.Bytes), i.Topic, i.Actors)
	default:
		line("idle actor", "an instance of its own, %s or more", size(float64(r.Snapshot)))
	}
	for _, d := range r.Durable {
		text := fmt.Sprintf("%s: %s stored with its first event", d.Actor, size(float64(d.First)))
		if d.Events > 1 {
			text += fmt.Sprintf(", %s to %s with each of the %d after it, %s with the last", size(float64(d.Least)), size(float64(d.Most)), d.Events-1, size(float64(d.Last)))
		}
		line("durable", "%s", text)
	}
	for _, name := range r.Absent {
		line("durable", "process:%s: no process has had that name; is it right, or does one get it later?", name)
	}
	if r.DurableCause != "" {
		line("durable", "not all is known: %s", r.DurableCause)
	}
	return w.Flush()
}

func asks(r *Report) []string {
	c := r.Manifest.Capabilities
	var all []string
	for _, topic := range c.Topics {
		all = append(all, "topics "+topic)
	}
	for _, name := range c.Depends {
		all = append(all, "the plugin "+name)
	}
	if c.Connect {
		all = append(all, "connect")
	}
	if c.Disconnect {
		all = append(all, "disconnect")
	}
	return all
}

func orNone(texts []string) string {
	if len(texts) == 0 {
		return "nothing"
	}
	return strings.Join(texts, ", ")
}

// wrapped is a list with a few entries on each line.
func wrapped(texts []string) string {
	const width = 90
	if len(texts) == 0 {
		return "nothing"
	}
	var out strings.Builder
	column := 0
	for i, text := range texts {
		switch {
		case i == 0:
		case column+len(text) > width:
			out.WriteString(",\n\t")
			column = 0
		default:
			out.WriteString(", ")
		}
		out.WriteString(text)
		column += len(text) + len(", ")
	}
	return out.String()
}

// size prints a number of bytes.
func size(n float64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", n/(1<<20))
	case n >= 1<<20:
		return fmt.Sprintf("%.2f MiB", n/(1<<20))
	case n >= 10<<10:
		return fmt.Sprintf("%.0f KiB", n/(1<<10))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.0f bytes", n)
}
