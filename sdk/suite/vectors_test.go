package suite_test

import (
	"encoding/hex"
	"encoding/json"
	"testing"
)

type vector struct {
	name  string
	bytes []byte
}

// vectors are the records of package abi.
func vectors(t testing.TB) (list []vector) {
	t.Helper()
	var file []struct{ Name, Hex string }
	must(t, json.Unmarshal(read(t, "../../sandbox/abi/testdata/vectors.json"), &file))
	for _, v := range file {
		b, err := hex.DecodeString(v.Hex)
		must(t, err)
		list = append(list, vector{v.Name, b})
	}
	if len(list) == 0 {
		t.Fatal("no vectors")
	}
	return list
}
