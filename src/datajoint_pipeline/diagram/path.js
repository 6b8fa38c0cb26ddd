(s=>{const n=[...s.querySelectorAll(".n>*")],e=[...s.querySelectorAll(".e>*")],p="$PAIRS".split(" ").map(x=>parseInt(x,36)),
walk=(i,a,b,on)=>{const w=[i];while(w.length){const k=w.pop();for(let j=0;p.length>j+1;j+=2)if(p[j+a]===k){
const l=e[j/2],o=n[p[j+b]];if(l)on.add(l);if(!on.has(o)){on.add(o);w.push(p[j+b])}}}},
show=i=>{const on=new Set([n[i]]);walk(i,0,1,on);walk(i,1,0,on);s.classList.add("on");
for(const x of [...n,...e])x.classList.toggle("on",on.has(x))},
hide=()=>s.classList.remove("on");
n.forEach((x,i)=>{x.addEventListener("mouseenter",()=>show(i));x.addEventListener("focus",()=>show(i));
x.addEventListener("mouseleave",hide);x.addEventListener("blur",hide)})
})(document.currentScript.closest("svg"))
