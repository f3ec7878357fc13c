package expr_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/duet-chat/duet/localstack/dynamodb/attr"
	"github.com/duet-chat/duet/localstack/dynamodb/expr"
)

func bind(t testing.TB, names map[string]string, values string) *expr.Binder {
	t.Helper()
	var vals attr.Item
	if values != "" {
		vals = mustItem(t, values)
	}
	b, err := expr.NewCache(10).Bind(names, vals)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFilterErrorsNameTheFilter(t *testing.T) {
	b := bind(t, nil, "")
	if _, err := b.Condition(expr.FilterExpression, "size(a)"); err == nil ||
		!strings.Contains(err.Error(), "Invalid FilterExpression: The function is not allowed to be used this way") {
		t.Errorf("a filter's error is %v", err)
	}
}

func TestPlaceholdersAreUsedByAnyExpressionOfTheRequest(t *testing.T) {
	b := bind(t, map[string]string{"#a": "a", "#b": "b"}, `{":x":{"N":"1"},":y":{"N":"2"}}`)
	if _, err := b.Update("SET #a = :x"); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(); err == nil || !strings.HasSuffix(err.Error(), "ExpressionAttributeNames unused in expressions: keys: {#b}") {
		t.Errorf("Finish = %v, want #b to be unused", err)
	}
	if _, err := b.Projection("#b"); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(); err == nil || !strings.HasSuffix(err.Error(), "ExpressionAttributeValues unused in expressions: keys: {:y}") {
		t.Errorf("Finish = %v, want :y to be unused", err)
	}
	if _, err := b.Condition(expr.ConditionExpression, "#a <> :y"); err != nil {
		t.Fatal(err)
	}
	if err := b.Finish(); err != nil {
		t.Errorf("Finish = %v, want all used", err)
	}
}

func TestChangedIsWhatTheUpdatesPathsTouch(t *testing.T) {
	old := mustItem(t, `{"pk":{"S":"a"},"n":{"N":"1"},"m":{"M":{"x":{"N":"1"},"y":{"N":"2"}}},"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]},"gone":{"S":"g"}}`)
	for _, tc := range []struct{ src, old, updated string }{
		{"SET n = :v", `{"n":{"N":"1"}}`, `{"n":{"N":"7"}}`},
		{"SET fresh = :v", ``, `{"fresh":{"N":"7"}}`},
		{"SET m.x = :v", `{"m":{"M":{"x":{"N":"1"}}}}`, `{"m":{"M":{"x":{"N":"7"}}}}`},
		{"SET m.x = :v, m.z = :v", `{"m":{"M":{"x":{"N":"1"}}}}`, `{"m":{"M":{"x":{"N":"7"},"z":{"N":"7"}}}}`},
		{"SET l[2] = :v, l[0] = :v", `{"l":{"L":[{"N":"0"},{"N":"2"}]}}`, `{"l":{"L":[{"N":"7"},{"N":"7"}]}}`},
		{"SET n = n + :v REMOVE gone", `{"gone":{"S":"g"},"n":{"N":"1"}}`, `{"n":{"N":"8"}}`},
	} {
		b := bind(t, nil, `{":v":{"N":"7"}}`)
		u, err := b.Update(tc.src)
		if err != nil {
			t.Fatal(err)
		}
		updated, err := u.Apply(old, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []struct {
			name, want string
			item       attr.Item
		}{{"UPDATED_OLD", tc.old, old}, {"UPDATED_NEW", tc.updated, updated}} {
			got := u.Changed(side.item)
			if side.want == "" && got != nil || side.want != "" && string(got.AppendJSON(nil)) != side.want {
				t.Errorf("%s of %q = %s, want %s", side.name, tc.src, got.AppendJSON(nil), side.want)
			}
		}
	}
}

func TestUpdatesDoNotNestDeeperThanItemsMay(t *testing.T) {
	for levels, ok := range map[int]bool{attr.MaxNesting - 1: true, attr.MaxNesting: false} {
		v := attr.String("x")
		for range levels - 1 {
			v = attr.List([]attr.Value{v})
		}
		b, err := expr.NewCache(1).Bind(nil, attr.Item{":v": v})
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.Update("SET m.a = :v")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Apply(attr.Item{"m": attr.Map(nil)}, nil); (err == nil) != ok {
			t.Errorf("SET m.a to %d levels: %v", levels, err)
		}
	}
}

func TestAttributesAreTopLevelAndResolved(t *testing.T) {
	b := bind(t, map[string]string{"#p": "pk"}, `{":v":{"N":"7"}}`)
	cond, err := b.Condition(expr.ConditionExpression, "#p.x = :v AND size(m[0]) > :v AND NOT (pk IN (b, :v))")
	if err != nil {
		t.Fatal(err)
	}
	upd, err := b.Update("SET #p = :v, m.a = b REMOVE m.c")
	if err != nil {
		t.Fatal(err)
	}
	proj, err := b.Projection("#p, m.a, m.b")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		got  []string
		want string
	}{
		{"Condition.Attributes", cond.Attributes(), "pk m b"},
		{"Condition.LooksInto", lookedInto(cond), "pk m"},
		{"Update.Attributes", upd.Attributes(), "pk m"},
		{"Update.LooksInto", lookedInto(upd), "m"},
		{"Projection.Attributes", proj.Attributes(), "pk m"},
		{"Projection.LooksInto", lookedInto(proj), "m"},
	} {
		if got := strings.Join(tc.got, " "); got != tc.want {
			t.Errorf("%s = %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestKeyConditionOnATableWithoutSortKey(t *testing.T) {
	for src, want := range map[string]string{
		"pk = :p":             "",
		"pk = :p AND zz = :p": "ValidationException: Query key condition not supported",
		"pk = :p AND pk = :p": "ValidationException: KeyConditionExpressions must only contain one condition per key",
	} {
		b := bind(t, nil, `{":p":{"S":"a"}}`)
		_, err := keyCondition(b, src, expr.Key{Name: "pk", Type: attr.S}, expr.Key{})
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("KeyCondition(%q) = %v, want %q", src, err, want)
		}
	}
}

func TestKeyConditionRanges(t *testing.T) {
	pk, sk := expr.Key{Name: "pk", Type: attr.S}, expr.Key{Name: "sk", Type: attr.S}
	for _, tc := range []struct {
		src string
		op  expr.Op
		in  string // sort keys of a b bb c that match
	}{
		{"pk = :p", expr.Any, "a b bb c"},
		{"pk = :p AND sk = :b", expr.Equal, "b"},
		{"pk = :p AND sk < :b", expr.Less, "a"},
		{"pk = :p AND sk <= :b", expr.LessOrEqual, "a b"},
		{"pk = :p AND :b <= sk", expr.GreaterOrEqual, "b bb c"},
		{"pk = :p AND sk > :b", expr.Greater, "bb c"},
		{"pk = :p AND sk BETWEEN :b AND :c", expr.Between, "b bb c"},
		{"begins_with(sk, :b) AND :p = pk", expr.BeginsWith, "b bb"},
	} {
		b := bind(t, nil, `{":p":{"S":"p"},":b":{"S":"b"},":c":{"S":"c"}}`)
		k, err := keyCondition(b, tc.src, pk, sk)
		if err != nil {
			t.Fatal(err)
		}
		var in []string
		for _, key := range strings.Fields("a b bb c") {
			if k.Match(attr.String(key)) {
				in = append(in, key)
			}
		}
		if k.Sort != tc.op || k.Partition.Text() != "p" || strings.Join(in, " ") != tc.in {
			t.Errorf("%q: operator %d, partition %q, matches %v, want %d %q", tc.src, k.Sort, k.Partition.Text(), in, tc.op, tc.in)
		}
	}
}

// formula draws a condition on the attributes a to d, which are present or not,
// and what it should say; level is the precedence that its place in a larger one wants.
func formula(t *rapid.T, present attr.Item, depth, level int) (src string, want bool) {
	inner := func(level int) (string, bool) { return formula(t, present, depth-1, level) }
	own := 3
	switch kind := rapid.IntRange(0, 3).Draw(t, "kind"); {
	case kind == 0 || depth == 0:
		name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "name")
		_, want = present[name]
		return "attribute_exists(" + name + ")", want
	case kind == 1:
		own = 2
		x, v := inner(2)
		src, want = "NOT "+x, !v
	case kind == 2:
		own = 1
		x, v := inner(1)
		y, w := inner(2)
		src, want = x+" AND "+y, v && w
	default:
		own = 0
		x, v := inner(0)
		y, w := inner(1)
		src, want = x+" or "+y, v || w
	}
	if own < level {
		src = "(" + src + ")"
	}
	return src, want
}

func TestPrecedenceIsNotAndOr(t *testing.T) {
	cache := expr.NewCache(1000)
	rapid.Check(t, func(t *rapid.T) {
		item := attr.Item{}
		for _, name := range []string{"a", "b", "c", "d"} {
			if rapid.Bool().Draw(t, name) {
				item[name] = attr.Null()
			}
		}
		src, want := formula(t, item, 4, 0)
		b, err := cache.Bind(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		cond, err := b.Condition(expr.ConditionExpression, src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if got := cond.Eval(item); got != want {
			t.Fatalf("%s on %s = %v, want %v", src, item.AppendJSON(nil), got, want)
		}
	})
}

// TestListIndexesMeanTheListBefore compares updates of list elements with a model:
// elements are set in place or appended, then removed.
func TestListIndexesMeanTheListBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 5).Draw(t, "length")
		var list []attr.Value
		for i := range n {
			list = append(list, attr.Int(int64(i)))
		}
		model := map[int]int64{}
		for i := range n {
			model[i] = int64(i)
		}
		var sets, removes []string
		for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 6, rapid.ID).Draw(t, "indexes") {
			if rapid.Bool().Draw(t, "set") {
				sets = append(sets, fmt.Sprintf("l[%d] = :v", i))
				model[i] = -1
			} else {
				removes = append(removes, fmt.Sprintf("l[%d]", i))
				delete(model, i)
			}
		}
		src := ""
		if len(sets) > 0 {
			src = "SET " + strings.Join(sets, ", ")
		}
		if len(removes) > 0 {
			src += " REMOVE " + strings.Join(removes, ", ")
		}
		if src == "" {
			return
		}
		b, err := expr.NewCache(1).Bind(nil, attr.Item{":v": attr.Int(-1)})
		if err != nil {
			t.Fatal(err)
		}
		u, err := b.Update(src)
		if err != nil {
			t.Fatal(err)
		}
		old := attr.Item{"l": attr.List(list)}
		got, err := u.Apply(old, nil)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		var want []attr.Value
		for i := range 10 {
			if v, ok := model[i]; ok {
				want = append(want, attr.Int(v))
			}
		}
		if !slices.EqualFunc(got["l"].List(), want, attr.Equal) {
			t.Fatalf("%s on %d elements = %s, want %s", src, n, got["l"].AppendJSON(nil), attr.List(want).AppendJSON(nil))
		}
		if len(old["l"].List()) != n {
			t.Fatalf("%s changed the old list", src)
		}
	})
}

func TestCacheIsSharedAndKeepsAnswering(t *testing.T) {
	cache := expr.NewCache(3)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 200 {
				b, err := cache.Bind(nil, attr.Item{":v": attr.Int(int64(i))})
				if err != nil {
					t.Error(err)
					return
				}
				name := fmt.Sprintf("a%d", (i+g)%10)
				cond, err := b.Condition(expr.ConditionExpression, name+" = :v")
				if err != nil {
					t.Error(err)
					return
				}
				if !cond.Eval(attr.Item{name: attr.Int(int64(i))}) {
					t.Errorf("%s = %d is false", name, i)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzParse(f *testing.F) {
	for _, src := range []string{
		"a = :x AND NOT (b.#c[0] BETWEEN :x AND :y OR size(d) IN (:x, e))", "begins_with(a, :x)",
		"SET a = if_not_exists(b, :x) + :y, c[1] = list_append(c, :y) REMOVE d ADD e :x DELETE f.#c :y",
		"a, b[0].c, #c", "pk = :x AND sk > :y", "((a)) = :x", "((((", "a[99999999999999999999]",
	} {
		f.Add(src)
	}
	item := mustItem(f, recordedItem)
	names := map[string]string{"#c": "c"}
	values := mustItem(f, `{":x":{"N":"1"},":y":{"L":[]}}`)
	f.Fuzz(func(t *testing.T, src string) {
		b, err := expr.NewCache(1).Bind(names, values)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := b.Condition(expr.ConditionExpression, src); err == nil {
			c.Eval(item)
			c.Eval(nil)
			c.Attributes()
		}
		if u, err := b.Update(src); err == nil {
			if updated, err := u.Apply(item, nil); err == nil {
				u.Changed(updated)
			}
		}
		if p, err := b.Projection(src); err == nil {
			p.Project(item)
		}
		if k, err := keyCondition(b, src, expr.Key{Name: "pk", Type: attr.N}, expr.Key{Name: "sk", Type: attr.S}); err == nil {
			k.Match(attr.String("a"))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	cache := expr.NewCache(100)
	item := mustItem(b, `{"conversation":{"S":"alice~bob"},"last_seq":{"N":"41"},"at":{"N":"1790000000000"},"bucket":{"N":"5"},"tails":{"M":{"alice/phone":{"M":{"n":{"N":"3"},"seq":{"N":"40"}}},"bob/web":{"M":{"n":{"N":"9"},"seq":{"N":"41"}}}}}}`)
	names := map[string]string{"#d": "alice/phone", "#at": "at"}
	values := mustItem(b, `{":seen":{"N":"41"},":next":{"N":"42"},":n":{"N":"4"},":at":{"N":"1790000000001"},":bucket":{"N":"5"},":tail":{"M":{"n":{"N":"4"},"seq":{"N":"42"}}}}`)
	b.ReportAllocs()
	for b.Loop() {
		binder, err := cache.Bind(names, values)
		if err != nil {
			b.Fatal(err)
		}
		cond, err := binder.Condition(expr.ConditionExpression, "last_seq = :seen AND tails.#d.n < :n AND #d <> :bucket AND attribute_not_exists(parked)")
		if err != nil {
			b.Fatal(err)
		}
		upd, err := binder.Update("SET last_seq = :next, tails.#d = :tail, #at = :at")
		if err != nil {
			b.Fatal(err)
		}
		if !cond.Eval(item) {
			b.Fatal("the condition is false")
		}
		if _, err := upd.Apply(item, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkKeyCondition(b *testing.B) {
	cache := expr.NewCache(100)
	values := attr.Item{":c": attr.String("alice~bob"), ":s": attr.Int(40)}
	pk, sk := expr.Key{Name: "conversation", Type: attr.S}, expr.Key{Name: "seq", Type: attr.N}
	b.ReportAllocs()
	for b.Loop() {
		binder, err := cache.Bind(nil, values)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := keyCondition(binder, "conversation = :c AND seq > :s", pk, sk); err != nil {
			b.Fatal(err)
		}
		if err := binder.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func lookedInto(e interface{ LooksInto(name string) bool }) []string {
	var names []string
	for _, name := range []string{"pk", "m", "b", "unknown"} {
		if e.LooksInto(name) {
			names = append(names, name)
		}
	}
	return names
}

func keyCondition(b *expr.Binder, src string, pk, sk expr.Key) (expr.KeyCondition, error) {
	k, err := b.KeyCondition(src)
	if err != nil {
		return expr.KeyCondition{}, err
	}
	return k.On(pk, sk)
}
