package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func logsCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	q := admin.LogQuery{Lines: 100, Level: "info"}
	cmd := &cobra.Command{
		Use:   "logs",
		Short: "Read the log of a server, and follow it",
		Long: `rtd logs prints the last lines of a server's log, and with -f those that come, until
Ctrl-C. The server keeps 1,000 lines; who reads too slowly is told how many are lost.
With --level debug it makes debug lines as long as somebody follows them, whatever the
level of its own log. Of a cluster, --node all reads the logs of all nodes that are there
when it begins; each line names its node.` + whichServer,
		Example: `  rtd logs -f
  rtd logs -f --node all
  rtd logs -f --plugin chat --level debug
  rtd logs -n 1000 --json | jq 'select(.msg == "channel crashed")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			lines := c.Logs(cmd.Context(), q)
			if server.node != "" {
				names := []string{server.node}
				if server.node == allNodes {
					if names, err = nodesThere(cmd.Context(), c); err != nil {
						return err
					}
				}
				lines = logsOf(cmd.Context(), c, names, q)
			}
			for line, err := range lines {
				switch {
				case err != nil && cmd.Context().Err() != nil: // Ctrl-C
					return nil
				case err != nil:
					return err
				case line.Lost > 0:
					fmt.Fprintf(cmd.ErrOrStderr(), "rtd: %d lines are lost, this terminal was too slow\n", line.Lost)
				case asJSON:
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line.JSON)
				default:
					err = printLine(cmd.OutOrStdout(), line.JSON)
				}
				if err != nil {
					return err
				}
			}
			if q.Follow && cmd.Context().Err() == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "rtd: the server has ended")
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with lines that come")
	cmd.Flags().StringVar(&q.Plugin, "plugin", "", "only lines about the plugin of this `name`")
	cmd.Flags().StringVar(&q.Level, "level", q.Level, "debug, info, warn or error, and above")
	cmd.Flags().IntVarP(&q.Lines, "lines", "n", q.Lines, "`number` of lines to begin with")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object on each line")
	server.add(cmd)
	server.addNode(cmd)
	return cmd
}

// logsOf reads the logs of several nodes: first what each has, by its time, and with Follow what comes, as it comes. A node that does not answer any more is told
// of, and left out.
func logsOf(ctx context.Context, c *admin.Client, nodes []string, q admin.LogQuery) iter.Seq2[admin.LogLine, error] {
	return func(yield func(admin.LogLine, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		next := map[string]uint64{}
		var first []admin.LogLine
		for _, node := range nodes {
			part, err := c.On(node).LogPart(ctx, q, nil, false)
			for err == nil && len(part.Lines) > 0 {
				for _, line := range part.Lines {
					first = append(first, admin.LogLine{JSON: line})
				}
				part, err = c.On(node).LogPart(ctx, q, &part.Next, false)
			}
			if err != nil {
				yield(admin.LogLine{}, err)
				return
			}
			next[node] = part.Next
		}
		slices.SortStableFunc(first, func(a, b admin.LogLine) int { return strings.Compare(timeOf(a.JSON), timeOf(b.JSON)) })
		for _, line := range first[max(0, len(first)-q.Lines):] {
			if !yield(line, nil) {
				return
			}
		}
		if !q.Follow {
			return
		}
		coming := make(chan admin.LogLine)
		var reading sync.WaitGroup
		for node, after := range next {
			reading.Go(func() { followNode(ctx, c.On(node), node, q, after, coming) })
		}
		go func() {
			reading.Wait()
			close(coming)
		}()
		for line := range coming {
			if !yield(line, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(admin.LogLine{}, err)
		}
	}
}

// followNode hands on the lines of a node that come, until it does not answer.
func followNode(ctx context.Context, c *admin.Client, node string, q admin.LogQuery, after uint64, to chan<- admin.LogLine) {
	send := func(line admin.LogLine) {
		select {
		case to <- line:
		case <-ctx.Done():
		}
	}
	for {
		part, err := c.LogPart(ctx, q, &after, true)
		if err != nil {
			if ctx.Err() == nil {
				text, _ := json.Marshal(map[string]any{"time": time.Now(), "level": "WARN", "msg": "the log of a node cannot be read any more", "node": node, "cause": err.Error()})
				send(admin.LogLine{JSON: text})
			}
			return
		}
		if after = part.Next; part.Lost > 0 {
			send(admin.LogLine{Lost: part.Lost})
		}
		for _, line := range part.Lines {
			send(admin.LogLine{JSON: line})
		}
	}
}

// timeOf is the time of a line, as text that sorts.
func timeOf(line []byte) string {
	var l struct{ Time time.Time }
	_ = json.Unmarshal(line, &l) // else it has none
	return l.Time.UTC().Format("2006-01-02T15:04:05.000000000")
}

// printLine prints a line for people: time, level, message, attributes in the order
// in which they were logged.
func printLine(out io.Writer, line []byte) error {
	var when time.Time
	var level, message string
	var rest strings.Builder
	d := json.NewDecoder(bytes.NewReader(line))
	_, err := d.Token() // {
	for err == nil && d.More() {
		var key json.Token
		var value json.RawMessage
		if key, err = d.Token(); err != nil {
			break
		}
		if err = d.Decode(&value); err != nil {
			break
		}
		switch key {
		case "time":
			_ = json.Unmarshal(value, &when) // else it has no time
		case "level":
			level = textOf(value)
		case "msg":
			message = textOf(value)
		default:
			fmt.Fprintf(&rest, "  %s=%s", printable(fmt.Sprint(key)), quoted(value))
		}
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	_, err = fmt.Fprintf(out, "%s %-5s %s%s\n", when.Local().Format("15:04:05.000"), printable(level), printable(message), rest.String())
	return err
}

// textOf is a JSON string's content, or any other JSON as it is.
func textOf(value json.RawMessage) (text string) {
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// quoted is a value of an attribute, in quotes if it would not be one word without.
func quoted(value json.RawMessage) string {
	text := textOf(value)
	if value[0] == '"' && (text == "" || strings.ContainsAny(text, " \"=")) {
		text = strconv.Quote(text)
	}
	return printable(text)
}

// printable is a text of any length as a terminal may get it, on one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}
