package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/bench"
)

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load a server that speaks Phoenix Channels, and measure it",
		Long: `rtd bench loads a server that speaks Phoenix Channels, rtd or another one, and
measures it: how long answers take, what gets lost, and with --pid what the server
uses of CPU and memory for each connection, join and delivery.

  idle    what a connection costs that does nothing, and each topic that it joined
  fanout  one client sends to a topic, all others get it
  echo    each client pushes and waits for the reply
  rooms   clients in small topics send to each other at a fixed rate
  crash   some channels crash: how soon they are back, and that others notice nothing
  recover all clients lose their connection at once, come back, and get what they missed
  storm   each loses it now and then, while messages are said: does all of it come?

The defaults fit the handler in .ci/bench/guest. Any other will do that broadcasts
what it is sent, or replies with it: say how with --topic, --params and --event.
It gets the payload {"body":"…"}, whose text must come back as it was. recover and
storm need topics with history.`,
		Example: `  rtd bench echo --pid $(pidof rtd)
  rtd bench idle --connections 10000 --topics 2 --pid $(pidof rtd)
  rtd bench fanout --connections 1000 --rate 20 --json -
  rtd bench fanout --topic room:lobby --event new_message --params '{"token":"demo","user":"b"}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, s := range []struct {
		scenario bench.Scenario
		short    string
		flags    []string
	}{
		{bench.Idle, "Hold connections that do nothing", []string{"topics", "deflate", "settle"}},
		{bench.Fanout, "Send from one client to all others", []string{"event", "body", "duration", "rate", "inflight"}},
		{bench.Echo, "Push and wait for the reply", []string{"event", "body", "duration", "rate"}},
		{bench.Rooms, "Send in small topics at a fixed rate", []string{"event", "body", "duration", "rate", "members"}},
		{bench.Crash, "Crash some channels", []string{"event", "body", "duration", "rate", "share", "watch"}},
		{bench.Recover, "Cut all connections at once, and let all come back", []string{"event", "body", "members", "missed", "meanwhile"}},
		{bench.Storm, "Cut connections at random while messages are said", []string{"event", "body", "members", "duration", "rate", "cut", "forget"}},
	} {
		cmd.AddCommand(scenarioCommand(s.scenario, s.short, s.flags))
	}
	return cmd
}

func scenarioCommand(s bench.Scenario, short string, flags []string) *cobra.Command {
	o := bench.Defaults(s)
	var report, meanwhile string
	cmd := &cobra.Command{
		Use:   string(s) + " [URL…]",
		Short: short,
		Long: short + `, and measure it. URL is the socket as clients say it, by default
` + o.URL + `. Of several, which are nodes of one cluster, clients
connect to each in turn. Ctrl-C ends the run early, with the figures so far.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.URL, o.Nodes = args[0], args[1:]
			}
			if meanwhile != "" {
				o.Meanwhile = shell(meanwhile)
			}
			return runBench(cmd, o, report)
		},
	}
	f := cmd.Flags()
	f.StringVar((*string)(&o.Protocol), "protocol", string(o.Protocol), "phoenix, or centrifuge to compare with what you run")
	f.BoolVar(&o.AllowRemote, "allow-remote", false, "load a server on another machine")
	f.IntVarP(&o.Connections, "connections", "n", o.Connections, "`number` of clients")
	f.StringVar(&o.Topic, "topic", o.Topic, "`name` to join; %d is the number of the client, or of the room")
	f.StringVar(&o.Params, "params", o.Params, "`JSON` payload of joins")
	f.IntSliceVar(&o.PIDs, "pid", nil, "process `id` of the server, to measure its CPU time and memory; of several, with commas between, together")
	f.IntVar(&o.Window, "window", o.Window, "connections and joins under way at a time")
	f.DurationVar(&o.Timeout, "timeout", o.Timeout, "how long to wait for any answer")
	f.StringVar(&report, "json", "", "write the figures as JSON to this `file`, or - for the standard output")
	rate := "messages per `second`, all clients together"
	if s == bench.Fanout || s == bench.Echo {
		rate += "; 0 sends the next when the one before is through"
	} else if s == bench.Crash {
		rate = "crashes per `second`"
	}
	own := map[string]func(){
		"topics": func() { f.IntVar(&o.Topics, "topics", o.Topics, "topics that each client joins") },
		"deflate": func() {
			f.BoolVar(&o.Deflate, "deflate", o.Deflate, "offer permessage-deflate; replies to joins must be shorter than what the server compresses")
		},
		"settle": func() { f.DurationVar(&o.Settle, "settle", o.Settle, "pause before memory is read") },
		"event":  func() { f.StringVar(&o.Event, "event", o.Event, "`name` of what is pushed") },
		"body": func() {
			f.IntVar(&o.Body, "body", o.Body, fmt.Sprintf("`bytes` of text in each message, %d or more", bench.MinBody))
		},
		"duration": func() { f.DurationVar(&o.Duration, "duration", o.Duration, "how long the load lasts") },
		"rate":     func() { f.Float64Var(&o.Rate, "rate", o.Rate, rate) },
		"inflight": func() {
			f.IntVar(&o.InFlight, "inflight", o.InFlight, "messages under way at a time, without --rate")
		},
		"members": func() { f.IntVar(&o.Members, "members", o.Members, "clients in each room") },
		"share":   func() { f.Float64Var(&o.Share, "share", o.Share, "`part` of the channels that crash, up to 1") },
		"missed":  func() { f.IntVar(&o.Missed, "missed", o.Missed, "messages in each room while all are away") },
		"meanwhile": func() {
			f.StringVar(&meanwhile, "meanwhile", "", "shell `command` to run while all are away, such as one that restarts the server")
		},
		"cut": func() { f.DurationVar(&o.Cut, "cut", o.Cut, "how long a connection lasts on average") },
		"forget": func() {
			f.BoolVar(&o.Forget, "forget", false, "do not ask for what was missed: it has to show as lost")
		},
		"watch": func() {
			f.Float64Var(&o.Watch, "watch", o.Watch, "echoes per `second` asked of the other channels")
		},
	}
	for _, name := range flags {
		own[name]()
	}
	return cmd
}

// shell returns what runs a command line, whose output goes to the standard error.
func shell(line string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("run --meanwhile: %w", err)
		}
		return nil
	}
}

func runBench(cmd *cobra.Command, o bench.Options, report string) error {
	const clear = "\r\033[K"
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		o.Progress = func(line string) { fmt.Fprint(os.Stderr, clear, line) }
	}
	if !json.Valid([]byte(o.Params)) {
		return fmt.Errorf("--params is no JSON: %s", o.Params)
	}
	result, err := bench.Run(cmd.Context(), o)
	if o.Progress != nil {
		o.Progress("")
	}
	if err != nil {
		return err
	}
	if report != "-" {
		if err := result.WriteTable(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	return writeJSON(cmd.OutOrStdout(), report, result)
}

// writeJSON writes to a file, or to out if its name is -, or not at all if it has none.
func writeJSON(out io.Writer, file string, result *bench.Result) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if file == "-" {
		_, err = out.Write(text)
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
