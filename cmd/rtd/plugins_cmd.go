package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rtd/host/admin"
)

func pluginsCommand() *cobra.Command {
	var server adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plugins [PLUGIN]",
		Short: "List the plugins of a server, or the versions of one",
		Long: `rtd plugins lists what runs in a server: each plugin with its version, since when
and by whom that was deployed, how many guests live and how often they have crashed.
Of one plugin it lists the versions that the server has kept, the latest deploy first. One
that is withdrawn was rolled back, for the reason there; neither a rollback nor a restart
goes to it, until it is deployed again.

  running   its topics are served
  failed    its processes crash too often; deploy another version, change its table
            of the config, or send SIGHUP
  waiting   for plugins that it depends on
  refused   it could not be deployed; the cause is below, and in rtd logs` + whichServer,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: server.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				list, err := c.Versions(cmd.Context(), args[0])
				return show(cmd.OutOrStdout(), list, err, asJSON, printVersions)
			}
			list, err := c.Plugins(cmd.Context())
			return show(cmd.OutOrStdout(), list, err, asJSON, printPlugins)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	server.add(cmd)
	return cmd
}

// show prints what a server has answered, in JSON or for reading; or returns its error.
func show[T any](out io.Writer, answer T, err error, asJSON bool, print func(io.Writer, T) error) error {
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(out, answer)
	}
	return print(out, answer)
}

func printPlugins(out io.Writer, list []admin.Plugin) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PLUGIN\tSTATE\tVERSION\tDEPLOYED\tBY\tGUESTS\tCRASHES\tRESTARTS\tTOPICS")
	for _, p := range list {
		version := dash(p.Version)
		if p.Canary != "" {
			version += " (canary " + p.Canary + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", plain(p.Name), p.State, version, clock(p.Deployed), dash(plain(p.By)),
			p.Instances, p.Crashes, p.Restarts, dash(plain(strings.Join(p.Topics, " "))))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, p := range list {
		if p.Cause != "" {
			fmt.Fprintf(out, "\n%s: %s\n", plain(p.Name), printable(p.Cause))
		}
	}
	return nil
}

func printVersions(out io.Writer, list []admin.Version) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tDEPLOYED\tBY\tSIZE\tWITHDRAWN")
	for _, v := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.Version, clock(v.When), dash(plain(v.By)), shortBytes(v.Size), dash(plain(v.Withdrawn)))
	}
	return table.Flush()
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
