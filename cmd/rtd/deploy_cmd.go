package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func deployCommand() *cobra.Command {
	var server adminFlags
	var name string
	var wait, dry bool
	cmd := &cobra.Command{
		Use:   "deploy FILE.wasm",
		Short: "Make a module the current version of a plugin, new or not",
		Long: `rtd deploy hands a module to a running server, which compiles and tries it, and
makes it the current version: clients stay connected, and channels move over. If the
module is no good the old version runs on, and the error says why.

It is kept in the server's plugin folder, so that a restart finds it. The version it
replaces is kept too: rtd rollback brings it back.

A version that crashes more often than max_restarts in max_seconds of its table, while
watch of it is not over, is rolled back by itself. With --wait the command ends when
that is decided. Its exit code is 1 if the version was rolled back, or if another took
its place before.

A process whose state the new version does not take over begins anew, or stays in its
version, as migrate of the table says; the output counts them, and names the first. With
--dry-run nothing changes: the module is compiled and tried, and the state of each live
process is exported from a copy of it and imported into the module. The exit code is
1 if one would not be taken over, or was too busy to be tried; or if the module would be
refused, for a durable process that could not move to it. Durable actors never begin anew: a topic
that cannot move is refused to clients while its state stays. Of those that sleep the
output says how many are stored; they are tried when they wake.` + whichServer,
		Example: `  rtd deploy chat.wasm --dry-run
  rtd deploy chat.wasm --wait
  rtd deploy target/wasm32-unknown-unknown/release/room.wasm --name chat`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if name == "" {
				name = strings.TrimSuffix(filepath.Base(args[0]), ".wasm")
			}
			wasm, err := readModule(args[0])
			if err != nil {
				return err
			}
			c, err := server.connect()
			if err != nil {
				return err
			}
			start := time.Now()
			begun := func(d admin.Deployed) { printDeployed(cmd.OutOrStdout(), name, d, time.Since(start), wait) }
			if dry {
				d, err := c.DryRun(cmd.Context(), name, wasm)
				if err != nil {
					return err
				}
				return printDryRun(cmd.OutOrStdout(), name, d)
			}
			if wait {
				v, err := c.DeployAndWait(cmd.Context(), name, wasm, begun)
				if err != nil {
					return err
				}
				return printVerdict(cmd.OutOrStdout(), name, v)
			}
			d, err := c.Deploy(cmd.Context(), name, wasm)
			if err == nil {
				begun(d)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`name` of the plugin (default: that of the file)")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the version is trusted or rolled back")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "try the module and how processes would move to it, and change nothing")
	cmd.MarkFlagsMutuallyExclusive("wait", "dry-run")
	server.add(cmd)
	return cmd
}

func printDeployed(out io.Writer, name string, d admin.Deployed, took time.Duration, wait bool) {
	var what string
	switch {
	case d.Unchanged:
		what = "runs already"
	case d.Canary:
		what = fmt.Sprintf("is tried by some, after %v", took.Round(time.Millisecond))
	default:
		what = fmt.Sprintf("runs, after %v", took.Round(time.Millisecond))
	}
	if wait && d.Watch > 0 && !d.Unchanged {
		what += fmt.Sprintf("; watched for %v", d.Watch)
	}
	fmt.Fprintf(out, "%s: version %s %s\n", name, d.Version, what)
	printMoves(out, name, d.Moves, "")
}

// printMoves says what has become of the processes that there were.
func printMoves(out io.Writer, name string, m *admin.Moves, would string) {
	if m == nil || m.WithState+m.Anew+m.Stayed+m.Refused+m.Left+m.Stored == 0 {
		return
	}
	fmt.Fprintf(out, "%s: of its processes %d%s moved with their state, %d anew, %d stayed", name, m.WithState, would, m.Anew, m.Stayed)
	if m.Refused > 0 {
		fmt.Fprintf(out, ", %d refused", m.Refused)
	}
	if m.Left > 0 {
		fmt.Fprintf(out, ", %d are busy", m.Left)
	}
	fmt.Fprintln(out)
	if m.Stored > 0 {
		fmt.Fprintf(out, "%s: %d durable actors are stored; those that sleep%s moved when they wake\n", name, m.Stored, would)
	}
	for _, loss := range m.Losses {
		then := "begins anew"
		switch {
		case loss.Stays:
			then = "stays in its version"
		case loss.Refused:
			then = "is refused, and its state stays"
		}
		fmt.Fprintf(out, "  %s %s: %s\n", plain(loss.Process), then, printable(loss.Cause))
	}
	if more := m.Lost - len(m.Losses); more > 0 && len(m.Losses) > 0 {
		fmt.Fprintf(out, "  and %d more\n", more)
	}
}

// printDryRun says what would become of processes. That a state would not be taken over
// is an error.
func printDryRun(out io.Writer, name string, d admin.Deployed) error {
	fmt.Fprintf(out, "%s: version %s can be deployed\n", name, d.Version)
	printMoves(out, name, d.Moves, " would be")
	switch m := d.Moves; {
	case m == nil:
		return nil
	case m.Lost > 0:
		return fmt.Errorf("%s: states that would not be taken over: %d", name, m.Lost)
	case m.Left > 0:
		return fmt.Errorf("%s: processes that were too busy to be tried: %d", name, m.Left)
	}
	return nil
}

// printVerdict says what has become of a version. That it does not run is an error.
func printVerdict(out io.Writer, name string, v admin.Verdict) error {
	cause := printable(v.Cause)
	switch v.State {
	case admin.Trusted:
		fmt.Fprintf(out, "%s: it is trusted\n", name)
		return nil
	case admin.Unwatched:
		fmt.Fprintf(out, "%s: it is not watched: %s\n", name, cause)
		return nil
	case admin.Withdrawn:
		return fmt.Errorf("%s: it was rolled back (%s); version %s runs again", name, cause, v.Now)
	case admin.Replaced:
		return fmt.Errorf("%s: version %s has taken its place before it was known to be good", name, dash(v.Now))
	case admin.Removed:
		return fmt.Errorf("%s: the plugin was unloaded before its version was known to be good", name)
	case admin.Stuck:
		return fmt.Errorf("%s: %s; version %s runs", name, cause, dash(v.Now))
	}
	return fmt.Errorf("%s: it is not known to be good: %s", name, cause)
}

func readModule(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("read module: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > admin.MaxModule {
		return nil, fmt.Errorf("read module: %s is not a file of at most %d bytes", file, admin.MaxModule)
	}
	return os.ReadFile(file)
}
