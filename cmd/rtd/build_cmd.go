package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"rtd/cmd/rtd/author"
)

func buildCommand() *cobra.Command {
	var out, configFile string
	cmd := &cobra.Command{
		Use:   "build [DIR]",
		Short: "Build a plugin from its sources",
		Long: `rtd build makes a plugin's module with the toolchain of its language, by default
DIR/NAME.wasm, and writes the manifest into it: name, version, topics and what the
plugin asks for, as in DIR/rtd.toml. The language is known by the files:

  Cargo.toml       Rust, with the first cargo that has the target wasm32-unknown-unknown:
                   of the PATH or, which is told, of /usr/bin
  asconfig.json    AssemblyScript, with the asc that npm has installed in DIR
  go.mod, *.go     Go
  *.c, src/*.c     C, with clang and wasm-ld, and DIR/rtd as its SDK

The module is started once, in a sandbox like the server's: topics that differ from
those of rtd.toml are an error.`,
		Example: `  rtd build room
  rtd build room -o /srv/rtd/plugins/room.wasm`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: folders,
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := author.Open(folderOf(args))
			if err != nil {
				return err
			}
			c, err := p.Config(configFile)
			if err != nil {
				return err
			}
			built, err := p.Build(cmd.Context(), author.BuildOptions{Out: out, Config: c, Messages: cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			return tellBuilt(cmd.OutOrStdout(), built)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write (default DIR/NAME.wasm)")
	_ = cmd.MarkFlagFilename("output", "wasm") // the flag is there
	configFlag(cmd, &configFile)
	return cmd
}

// folderOf is the folder that the first argument names, or the one at hand.
func folderOf(args []string) string {
	if len(args) == 0 {
		return "."
	}
	return args[0]
}

func tellBuilt(out io.Writer, b *author.Built) error {
	_, err := fmt.Fprintf(out, "built %s: %s %s, %d bytes, in %v\n", b.File, b.Manifest.Name, b.Manifest.Version, b.Size, b.Took.Round(time.Millisecond))
	return err
}
