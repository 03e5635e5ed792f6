package handshake_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"rtd/host/gateway/handshake"
)

// As Plug.Conn.Query decodes it; most are cases of Plug's own tests.
func TestParams(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   `{}`,
		"&&":                                 `{}`,
		"a":                                  `{"a":""}`,
		"a=":                                 `{"a":""}`,
		"=":                                  `{"":""}`,
		"=value":                             `{"":"value"}`,
		"a=1=2":                              `{"a":"1=2"}`,
		"a=1&a=2":                            `{"a":"2"}`,
		"&x=1&&y=2&":                         `{"x":"1","y":"2"}`,
		"my+weird+field=q1%212%22%27w%2457+": `{"my weird field":"q1!2\"'w$57 "}`,
		"user[name]=Ada&user[age]=36":        `{"user":{"age":"36","name":"Ada"}}`,
		"user%5Bname%5D=Ada":                 `{"user":{"name":"Ada"}}`,
		"tags[]=a&tags[]=b":                  `{"tags":["a","b"]}`,
		"tags[]":                             `{"tags":[""]}`,
		"x[y][z]=1&x[y][z]=2":                `{"x":{"y":{"z":"2"}}}`,
		"x[y][z][]=1&x[y][z][]=2":            `{"x":{"y":{"z":["1","2"]}}}`,
		"x[y][][z][]=1":                      `{"x":{"y":[{"z":["1"]}]}}`,
		"x[][a]=1&x[][b]=2":                  `{"x":[{"a":"1","b":"2"}]}`,
		"x[]=0&x[][a]=1":                     `{"x":["0",{"a":"1"}]}`,
		"x[][][]=1":                          `{"x":[[["1"]]]}`,
		"x[]=1&x[y]=1":                       `{"x":{"y":"1"}}`,
		"x[y]=1&x[]=1":                       `{"x":["1"]}`,
		"x[y][][w]=2&x[y]=1":                 `{"x":{"y":"1"}}`,
		"x=1&x[y]=1":                         `{"x":{"y":"1"}}`,
		"x[y]=1&x=1":                         `{"x":"1"}`,
		"x[y][0][w]=2&x[y]=1":                `{"x":{"y":"1"}}`,
		"[a]=1&a]=2&a[=3&a[b=4&a[b]c=5":      `{"[a]":"1","a[":"3","a[b":"4","a[b]c":"5","a]":"2"}`,
		"a[[]=1&b[]]=2&c[x][[]=3":            `{"a":{"[":"1"},"b":{"]":"2"},"c":{"x":{"[":"3"}}}`,
		"__proto__[x]=1":                     `{"__proto__":{"x":"1"}}`,
		"a=%zz&b=%&c=%4":                     `{"a":"%zz","b":"%","c":"%4"}`,
		"a=%C3%A5%00":                        `{"a":"å\u0000"}`,
		"a=%10%50\x7f":                       `{"a":"\u0010P` + "\x7f" + `"}`,
	} {
		params, err := handshake.Params(query, nil)
		if err != nil {
			t.Errorf("%q: %v", query, err)
			continue
		}
		if got, _ := json.Marshal(params); string(got) != want {
			t.Errorf("%q:\ngot  %s\nwant %s", query, got, want)
		}
	}
}

func TestPathWins(t *testing.T) {
	params, err := handshake.Params("id=1&vsn=2.0.0", map[string]string{"id": "7"})
	if err != nil || params["id"] != "7" || params["vsn"] != "2.0.0" {
		t.Errorf("%v, %v", params, err)
	}
}

func TestBadQueries(t *testing.T) {
	brackets := func(n int) string { return "a" + strings.Repeat("[b]", n) + "=1" }
	for _, query := range []string{"a=%ff", "%c3=1", "a[%ff]=1", "_utf8=%R2%9P%93", brackets(handshake.MaxDepth + 1), strings.Repeat("a&", handshake.MaxPairs+1)} {
		if params, err := handshake.Params(query, nil); !errors.Is(err, handshake.ErrQuery) {
			t.Errorf("%.50q: %v, %v", query, params, err)
		}
	}
	for _, query := range []string{brackets(handshake.MaxDepth), strings.Repeat("a&", handshake.MaxPairs)} {
		if _, err := handshake.Params(query, nil); err != nil {
			t.Errorf("%.50q: %v", query, err)
		}
	}
}

// Whatever comes, what is made of it is bounded by it, and can be said as JSON.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{"a=1", "user[name]=x&user[]=y", "x[][][a]=1&x[][][b]", "a%5b%5D=%e2%82%ac", "[]=1&][", "a[b]]=[[&=&+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		params, err := handshake.Params(query, map[string]string{"id": "7"})
		if err != nil {
			if !errors.Is(err, handshake.ErrQuery) {
				t.Fatal(err)
			}
			return
		}
		if params["id"] != "7" {
			t.Errorf("id = %v", params["id"])
		}
		if depth, size := measure(params); depth > handshake.MaxDepth+2 || size > len(query)+len("id7") {
			t.Errorf("%d levels, %d bytes of %d", depth, size, len(query))
		}
		if _, err := json.Marshal(params); err != nil {
			t.Error(err)
		}
	})
}

// measure returns how deep a value is nested and how much text is in it.
func measure(value any) (depth, size int) {
	add := func(child any) {
		d, s := measure(child)
		depth, size = max(depth, d), size+s
	}
	switch value := value.(type) {
	case string:
		return 1, len(value)
	case []any:
		for _, child := range value {
			add(child)
		}
	case map[string]any:
		for name, child := range value {
			size += len(name)
			add(child)
		}
	}
	return depth + 1, size
}
