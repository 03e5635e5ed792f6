package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/connect"
)

func connectCommand() *cobra.Command {
	var o connect.Options
	var payload string
	var params, pushes []string
	cmd := &cobra.Command{
		Use:   "connect URL TOPIC",
		Short: "Join a topic as a client, print what it is sent, send what it reads",
		Long: `rtd connect is a client of any server of Phoenix Channels, for people and scripts. It joins
a topic and prints its messages on the standard output, a line each: the event, then the
payload as JSON (bytes as base64:…). A reply is: reply EVENT STATUS PAYLOAD. With --json
each line is an object with at, event, payload or binary, position, and of a reply of and
status. All else it has to say is on the standard error.

Each line of the standard input is a push: EVENT JSON, such as

  new_message {"body": "hello"}

It ends on Ctrl-C, after --count messages, or with --quit when all has been sent and
handled, and leaves the topic. At the end it says where it stood in the topic's history,
if that has one: --since goes on from there, and the event recovered says whether something
is gone. URL is the socket as clients say it, ws:// or wss://. Exit code 1 tells that the
join was refused, or the connection lost without --reconnect.`,
		Example: `  rtd connect ws://127.0.0.1:4000/socket room:lobby --payload '{"token":"demo","user":"Ada"}'
  rtd connect ws://127.0.0.1:4000/socket room:lobby --since 8q2mdk1ct7:17 --reconnect --json
  echo 'new_message {"body":"hi"}' | rtd connect ws://127.0.0.1:4000/socket room:lobby --quit`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.URL, o.Topic = args[0], args[1]
			o.Out, o.Notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			if !json.Valid([]byte(payload)) {
				return usageError{fmt.Errorf("--payload is no JSON: %.200s", payload)}
			}
			o.Payload = []byte(payload)
			for _, text := range pushes {
				p, err := connect.ParsePush(text)
				if err != nil {
					return usageError{fmt.Errorf("--send: %w", err)}
				}
				o.Send = append(o.Send, p)
			}
			if o.Count < 0 || o.Timeout <= 0 {
				return usageError{errors.New("--count is negative, or --timeout is not positive")}
			}
			var err error
			if o.URL, err = withParams(o.URL, params); err != nil {
				return usageError{err}
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			o.In = linesOf(ctx, cmd.InOrStdin())
			err = connect.Run(ctx, o)
			if errors.Is(err, connect.ErrOptions) {
				return usageError{err}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&payload, "payload", "{}", "`JSON` of the join")
	f.StringArrayVar(&params, "param", nil, "`name=value` for the connect, such as token=…; may come again")
	f.StringVar(&o.Since, "since", "", "`EPOCH:OFFSET` behind which all that was said is wanted")
	f.StringArrayVar(&pushes, "send", nil, "`EVENT JSON` to push first; may come again")
	f.BoolVar(&o.JSON, "json", false, "print messages as JSON, one to a line")
	f.BoolVar(&o.Reconnect, "reconnect", false, "come back when the connection breaks, and ask for what was missed")
	f.BoolVar(&o.Quit, "quit", false, "end when all has been sent and handled, and what was missed has come")
	f.IntVarP(&o.Count, "count", "n", 0, "end after so `many` messages; 0 is no end")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Second, "how long to wait for any answer")
	return cmd
}

// withParams adds params to the query of a URL.
func withParams(text string, params []string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read URL: %w", err)
	}
	query := u.Query()
	for _, p := range params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return "", fmt.Errorf("--param %.100q is no name=value", p)
		}
		query.Add(name, value)
	}
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// linesOf reads lines until their end, or ctx ends. The one that waits for a terminal is left to the end of the process.
func linesOf(ctx context.Context, in io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		s.Buffer(nil, 16<<20)
		for s.Scan() {
			select {
			case lines <- strings.TrimSpace(s.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
