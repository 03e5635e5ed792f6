package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
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
level of its own log.` + whichServer,
		Example: `  rtd logs -f
  rtd logs -f --plugin chat --level debug
  rtd logs -n 1000 --json | jq 'select(.msg == "channel crashed")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			for line, err := range c.Logs(cmd.Context(), q) {
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
	return cmd
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
