package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func rollbackCommand() *cobra.Command {
	var server adminFlags
	var to string
	cmd := &cobra.Command{
		Use:   "rollback PLUGIN",
		Short: "Make a version of a plugin current that was so before",
		Long: `rtd rollback makes the version current that ran before the one that runs now, or
the one given with --to; rtd plugins PLUGIN lists them. The version that ran is marked
as withdrawn, so that a next rollback does not come back to it. If a canary is on trial,
it is what ends and is marked, unless --to says more. Processes whose state
the older version does not take over are counted, and the first are named.` + whichServer,
		Example: `  rtd rollback chat
  rtd rollback chat --to 2f1c90ab`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: server.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := server.connect()
			if err != nil {
				return err
			}
			d, err := c.Rollback(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: version %s runs again\n", args[0], d.Version)
			printMoves(cmd.OutOrStdout(), args[0], d.Moves, "")
			return nil
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "`hash` of the version, or its first 6 digits or more")
	server.add(cmd)
	return cmd
}
