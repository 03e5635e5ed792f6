package rollout_test

import (
	"fmt"
	"strings"
	"testing"

	"rtd/host/app"
	"rtd/sandbox/abi"
	"rtd/supervisor"
)

func TestProcesses(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", nil, worker("a"), child("group", `{"type":"supervisor"}`), child("b", `{"under":"group"}`), child("pool", `{"type":"dynamic"}`))
	for _, name := range []string{"one", "two"} {
		w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "m", Detail: "pool", Extra: name})
	}
	for range 3 {
		w.ask("p/a", abi.Effect{Kind: abi.OpSpawn, Name: "errand"})
	}
	w.crash("p/one")
	w.crash("p/b")

	tree, ok := w.set.Processes(t.Context(), "p", 10)
	want := `plugin p
  supervisor root
    worker a
    supervisor group
      worker b, restarts 1
    dynamic pool
      worker one, restarts 1
      worker two
    dynamic channels
  task errand
  task errand
  task errand
`
	if got := outline(tree, ""); !ok || got != want {
		t.Errorf("the tree is\n%swant\n%s", got, want)
	}
	a := tree.Children[0].Children[0]
	if a.PID() == "" || a.Life.State != supervisor.Waiting || a.Life.Reductions == 0 || a.Life.Memory == 0 {
		t.Errorf("a is %s, %+v", a.PID(), a.Life)
	}

	t.Log("no more than a few of those that come and go")
	tree, _ = w.set.Processes(t.Context(), "p", 1)
	pool := tree.Children[0].Children[2]
	if len(pool.Children) != 1 || pool.More != 1 || len(tree.Children) != 2 || tree.More != 2 {
		t.Errorf("%d in the pool and %d more, %d below the plugin and %d more", len(pool.Children), pool.More, len(tree.Children), tree.More)
	}
	if _, ok := w.set.Processes(t.Context(), "q", 1); ok {
		t.Error("there is a plugin q")
	}
}

func outline(p app.Tree, indent string) string {
	text := fmt.Sprintf("%s%s %s", indent, p.Kind, p.Name)
	if p.Restarts > 0 {
		text += fmt.Sprintf(", restarts %d", p.Restarts)
	}
	var b strings.Builder
	b.WriteString(text + "\n")
	for _, child := range p.Children {
		b.WriteString(outline(child, indent+"  "))
	}
	return b.String()
}
